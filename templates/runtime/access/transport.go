package access

import (
	"net/http"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	clienttransport "k8s.io/client-go/transport"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apipath"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// transport is in the way of the requests of all confined clients.
type transport struct {
	*policy
	next   http.RoundTripper
	root   string // path under which the API server is served
	mapper meta.RESTMapper
}

var _ utilnet.RoundTripperWrapper = (*transport)(nil)

// WrappedRoundTripper lets client-go find the TLS settings below.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.admit(r); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes it in any case
		}
		return nil, err
	}
	if fence.Reads(r, t.root) {
		r = r.WithContext(tenant.Within(r.Context())) // a watch whose context is detached would go on
	}
	if t.account != "" {
		name, _ := tenant.Of(r.Context())
		r = r.Clone(r.Context()) // a RoundTripper must not change what it is given
		impersonate(r.Header, name, t.account)
	}
	return t.next.RoundTrip(r)
}

// admit returns why a request is not sent.
func (t *transport) admit(r *http.Request) error {
	what := func() string { return describe(r, t.root) }
	name, _ := tenant.Of(r.Context())
	if clean := path.Clean(r.URL.Path); r.URL.Opaque != "" || clean != strings.TrimSuffix(r.URL.Path, "/") && clean != r.URL.Path {
		return refused(name, action{verb: r.Method}, what(), hintPath) // it could be read in more than one way
	}
	if name == "" && t.account != "" {
		return refused(name, action{verb: r.Method}, what(), hintNobody)
	}
	i := apipath.Parse(r.URL.Path, t.root)
	a := action{verb: r.Method, reads: fence.Reads(r, t.root), namespace: i.Namespace, bounds: bounds(i, r.Method)}
	if i.Name != "" || i.Resource == "" {
		return t.check(r.Context(), a, what, nil)
	}
	return t.check(r.Context(), a, what, func() (bool, error) {
		return t.namespaced(schema.GroupVersionResource{Group: i.Group, Version: i.Version, Resource: i.Resource})
	})
}

// bounds reports whether a request is about what bounds a tenant, by its name or among all.
// What is made beside it takes nothing from it: of several bounds the tightest holds.
func bounds(i apipath.Info, method string) bool {
	all := i.Name == "" && method == http.MethodDelete
	return i.GroupResource() == "resourcequotas" && (all || strings.HasPrefix(i.Name, tenant.BoundsPrefix))
}

func (t *transport) namespaced(resource schema.GroupVersionResource) (bool, error) {
	gvk, err := t.mapper.KindFor(resource)
	if err != nil {
		return false, err
	}
	mapping, err := t.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return false, err
	}
	return mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
}

// describe names what a request is about.
func describe(r *http.Request, root string) string {
	i := apipath.Parse(r.URL.Path, root)
	if i.Resource == "" {
		return r.URL.Path
	}
	what := i.GroupResource()
	if i.Subresource != "" {
		what += "/" + i.Subresource
	}
	if i.Name != "" {
		what += " " + i.Name
	}
	return what
}

// impersonate makes a request one of a service account, whatever it said before. Its
// groups are added by the API server, which knows them.
func impersonate(header http.Header, namespace, account string) {
	for name := range header {
		if strings.HasPrefix(name, "Impersonate-") {
			delete(header, name)
		}
	}
	header.Set(clienttransport.ImpersonateUserHeader, "system:serviceaccount:"+namespace+":"+account)
}
