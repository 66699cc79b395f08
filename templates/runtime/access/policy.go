package access

import (
	"context"
	"fmt"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// Reason is the reason of the Ready condition where a [RefusedError] is the error.
const Reason = "TenantConfined"

// RefusedError is the error of what a tenant's work may not do.
type RefusedError struct {
	// Tenant is the namespace that work was done for, empty for none.
	Tenant string
	// Verb is what was to be done, such as get, list or PATCH.
	Verb string
	// What names the resource or kind, and the object.
	What string
	// Namespace is where, empty for no namespace, and for all.
	Namespace string
	// Hint says why, and what to do.
	Hint string
}

// Error says who may not do what, where, and what to do.
func (e *RefusedError) Error() string {
	who, where := "a context without a tenant", "in no namespace"
	if e.Tenant != "" {
		who = "tenant " + e.Tenant
	}
	if e.Namespace != "" {
		where = "in namespace " + e.Namespace
	}
	return fmt.Sprintf("%s may not %s %s %s: %s", who, e.Verb, e.What, where, e.Hint)
}

// Reason implements what requeue.Reason looks for.
func (e *RefusedError) Reason() string { return Reason }

const (
	hintForeign = "it is another namespace than the tenant's; to let all tenants read there, name it in --tenant-shared-namespaces"
	hintWrite   = "a tenant's work may write in its own namespace only, also where it may read"
	hintAll     = "what goes across namespaces shows other tenants; give client.InNamespace with the object's namespace"
	hintCluster = "what is in no namespace belongs to all tenants; do this in a reconciler of a cluster-scoped kind"
	hintNobody  = "pass on the context that ReconcileKind was given"
	hintPath    = "the path of the request is not clean"
	hintNowhere = "objects of this kind are in namespaces; give that of the object"
	hintOver    = "the pass that the context was given to is over; use the context that ReconcileKind is given, in the pass that it is given to"
	hintBounds  = "what bounds a tenant is not its own to change; a TenantQuota or QuotaTemplate says how much it may have"
)

// policy decides what may be done.
type policy struct {
	shared  map[string]bool // namespaces that every tenant may read
	account string          // of tenants, empty without impersonation
}

// action is what is to be done somewhere.
type action struct {
	verb      string
	reads     bool
	namespace string
	one       bool // one object by its name, as opposed to a list of them
	bounds    bool // of what bounds the tenant
}

// judge returns why a must not be done for the tenant name, empty if it may be. Scoped
// tells, only when asked, whether what a reads is in namespaces; without it, it is not.
func (p *policy) judge(name string, a action, scoped func() (bool, error)) (hint string, err error) {
	switch {
	case name == "" && a.reads:
		return "", nil
	case name == "":
		return hintNobody, nil
	case a.bounds && !a.reads && a.namespace == name:
		return hintBounds, nil
	case a.namespace == name:
		return "", nil
	case a.namespace != "" && !a.reads && p.shared[a.namespace]:
		return hintWrite, nil
	case a.namespace != "" && p.shared[a.namespace]:
		return "", nil
	case a.namespace != "":
		return hintForeign, nil
	case !a.reads:
		return hintCluster, nil
	case scoped == nil:
		return "", nil
	}
	in, err := scoped()
	switch {
	case err != nil || !in:
		return "", err
	case a.one:
		return hintNowhere, nil // a cache would take namespace/name for the name
	}
	return hintAll, nil
}

// check returns the error of what must not be done, nil if it may be.
func (p *policy) check(ctx context.Context, a action, what func() string, scoped func() (bool, error)) error {
	name, _ := tenant.Of(ctx)
	switch over := tenant.Over(ctx); {
	case over == tenant.ErrOver:
		return refused(name, a, what(), hintOver)
	case over != nil:
		return over
	}
	hint, err := p.judge(name, a, scoped)
	switch {
	case err != nil:
		return fmt.Errorf("whether %s is in namespaces: %w", what(), err)
	case hint != "":
		return refused(name, a, what(), hint)
	}
	return nil
}

// refused is the error of a, which trying again does not mend.
func refused(name string, a action, what, hint string) error {
	return requeue.Terminal(&RefusedError{Tenant: name, Verb: a.verb, What: what, Namespace: a.namespace, Hint: hint})
}
