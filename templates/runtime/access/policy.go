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
	hintAll     = "a list across namespaces shows other tenants; give client.InNamespace with the object's namespace"
	hintCluster = "what is in no namespace belongs to all tenants; do this in a reconciler of a cluster-scoped kind"
	hintNobody  = "pass on the context that ReconcileKind was given"
	hintPath    = "the path of the request is not clean"
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
}

// judge returns why a must not be done under ctx, empty if it may be. Scoped tells, only
// when asked, whether what a lists is in namespaces.
func (p *policy) judge(name string, a action, scoped func() (bool, error)) (hint string, err error) {
	switch {
	case name == "" && a.reads:
		return "", nil
	case name == "":
		return hintNobody, nil
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
	case a.one:
		return "", nil // what is read by a name alone is in no namespace
	}
	in, err := scoped()
	if err != nil || !in {
		return "", err
	}
	return hintAll, nil
}

// check returns the error of what must not be done, nil if it may be.
func (p *policy) check(ctx context.Context, a action, what func() string, scoped func() (bool, error)) error {
	name, _ := tenant.Of(ctx)
	if name != "" && name == a.namespace {
		return nil
	}
	hint, err := p.judge(name, a, scoped)
	if err != nil {
		return fmt.Errorf("whether %s is in namespaces: %w", what(), err)
	}
	if hint == "" {
		return nil
	}
	return requeue.Terminal(&RefusedError{Tenant: name, Verb: a.verb, What: what(), Namespace: a.namespace, Hint: hint})
}
