package access

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

var there = client.ObjectKey{Namespace: "north", Name: "there"}

// filled returns a cache that has one widget of an API server which has no more.
func filled(t testing.TB) (cache.Cache, meta.RESTMapper) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const metadata = `"metadata":{"name":"there","namespace":"north","uid":"1","resourceVersion":"1"`
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("watch") == "" {
			fmt.Fprintf(w, `{"apiVersion":%q,"kind":"WidgetList","metadata":{"resourceVersion":"1"},"items":[{%s}}]}`, runtimetest.GroupVersion, metadata)
			return
		}
		for _, event := range []string{
			`{"type":"ADDED","object":{"apiVersion":%q,"kind":"Widget",` + metadata + `}}}`,
			`{"type":"BOOKMARK","object":{"apiVersion":%q,"kind":"Widget","metadata":{"resourceVersion":"1","annotations":{"k8s.io/initial-events-end":"true"}}}}`,
		} {
			fmt.Fprintf(w, event+"\n", runtimetest.GroupVersion)
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(runtimetest.GroupVersion.WithKind("Widget"), meta.RESTScopeNamespace)
	c, err := cache.New(&rest.Config{Host: server.URL}, cache.Options{Scheme: runtimetest.Scheme(), Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetInformer(t.Context(), &runtimetest.Widget{}, cache.BlockUntilSynced(false)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		server.Close()
	})
	if !c.WaitForCacheSync(ctx) {
		t.Fatal("the cache is not filled")
	}
	return c, mapper
}

// depth is a key of values that only make a context deeper.
type depth struct{}

// readers returns a cache, the reader that confines it, and a context of the tenant whose
// object both have. The context is as deep as that of a reconcile.
func readers(t testing.TB) (ctx context.Context, plain, confined client.Reader) {
	c, mapper := filled(t)
	set := tenant.New(t.Context())
	set.Put(tenant.Namespace{Name: there.Namespace, UID: "uid"})
	ctx, leave, err := set.Sandboxes(tenant.Kind{Name: t.Name(), Workers: 2}).Enter(t.Context(), there)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leave)
	for range 4 { // by the flight, the deadline, the log and the span
		ctx = context.WithValue(ctx, depth{}, nil) //nolint:fatcontext // as deep as wanted
	}
	p, err := Settings{}.policy()
	if err != nil {
		t.Fatal(err)
	}
	return ctx, c, &reader{policy: p, cached: c, scheme: runtimetest.Scheme(), mapper: mapper}
}

func TestConfinementAllocatesNothing(t *testing.T) {
	ctx, plain, confined := readers(t)
	count := func(r client.Reader) float64 {
		w := &runtimetest.Widget{}
		return testing.AllocsPerRun(1000, func() {
			if err := r.Get(ctx, there, w); err != nil {
				t.Fatal(err)
			}
		})
	}
	added := count(confined) - count(plain)
	t.Attr("allocations", fmt.Sprint(added))
	if added > 0 {
		t.Errorf("%.0f allocations more than those of the cache", added)
	}
}

// BenchmarkGet prints what a cached read costs through the confinement and without, in the
// same run.
func BenchmarkGet(b *testing.B) {
	ctx, plain, confined := readers(b)
	w := &runtimetest.Widget{}
	get := func(r client.Reader) func() {
		return func() {
			if err := r.Get(ctx, there, w); err != nil {
				b.Fatal(err)
			}
		}
	}
	medians := runtimetest.Medians(b, get(plain), get(confined))
	b.ReportMetric(medians[0], "cache-ns")
	b.ReportMetric(medians[1], "confined-ns")
	b.ReportMetric(medians[1]/medians[0], "ratio")
}
