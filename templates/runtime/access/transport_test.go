package access

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What is sent of a URL that is opaque is not its path.
func TestAnOpaqueURLIsRefused(t *testing.T) {
	set := tenant.New(t.Context())
	set.Put(tenant.Namespace{Name: "own", UID: types.UID("1")})
	boxes := set.Sandboxes(tenant.Kind{Name: t.Name(), Workers: 2, Object: &runtimetest.Widget{}, List: &runtimetest.WidgetList{}})
	ctx, leave, err := boxes.Enter(t.Context(), types.NamespacedName{Namespace: "own", Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	sent := 0
	confined := &transport{policy: &policy{}, next: roundTrip(func(*http.Request) (*http.Response, error) {
		sent++
		return httptest.NewRecorder().Result(), nil
	})}
	for opaque, want := range map[string]int{"": 1, "//api.example/api/v1/namespaces/other/secrets/s": 0} {
		sent = 0
		place := &url.URL{Scheme: "https", Host: "api.example", Path: "/api/v1/namespaces/own/configmaps/c", Opaque: opaque}
		response, err := confined.RoundTrip((&http.Request{Method: http.MethodDelete, URL: place, Header: http.Header{}}).WithContext(ctx))
		if err == nil {
			response.Body.Close()
		}
		if sent != want || (err == nil) != (want == 1) {
			t.Errorf("opaque %q: sent %d times, want %d: %v", opaque, sent, want, err)
		}
	}
}
