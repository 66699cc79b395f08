//go:build integration

package conformance

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Tenants selects the namespaces that are tenants in [TestTenancy].
const Tenants = tenantLabel + "=yes"

const tenantLabel = "conformance.ctxscaffold.dev/tenant"

// notice is how long a test looks for what must not happen.
const notice = 100 * time.Millisecond

// TestTenancy runs an operator whose tenants are the namespaces that [Tenants]
// selects, with a reconciler that hangs in one of them. It must be told when that
// is a tenant no more, and nothing may be written there.
func TestTenancy[T client.Object](t *testing.T, config *rest.Config, s Subject[T]) {
	eachLag(t, config, func(t *testing.T, late *rest.Config) { testTenancy(t, late, s) })
}

func testTenancy[T client.Object](t *testing.T, config *rest.Config, s Subject[T]) {
	b := newBench(t, config, s)
	hangs, free, other := b.create(t), b.create(t), b.create(t)
	w := &writes{by: map[string]int{}}
	b.config = rest.CopyConfig(config)
	b.config.Wrap(w.noted)
	begun, ended, passed := make(chan string, 100), make(chan error, 100), make(chan string, 100)
	b.run(t, &user[T]{func(ctx context.Context, obj T) error {
		if obj.GetNamespace() != hangs.GetNamespace() {
			passed <- obj.GetNamespace()
			return nil
		}
		begun <- obj.GetNamespace()
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return context.Cause(ctx)
	}})
	ends := func(what string, happens func()) {
		t.Helper()
		next(t, begun, "the reconcile that "+what+" ends")
		happens()
		why := next(t, ended, "the end by "+what)
		if !errors.Is(why, cause.TenantGone) {
			t.Errorf("ended by %s with %v, want %v", what, why, cause.TenantGone)
		}
	}

	b.label(t, free, "yes")
	if got := next(t, passed, "a reconcile in a tenant"); got != free.GetNamespace() {
		t.Errorf("worked on in %s, which is no tenant", got)
	}
	b.awaitReady(t, free, metav1.ConditionTrue, "")
	b.label(t, hangs, "yes")
	ends("the label", func() { b.label(t, hangs, "no") })
	b.label(t, hangs, "yes")
	work := next(t, begun, "the reconcile that hangs again")
	begun <- work
	for len(passed) > 0 {
		if got := <-passed; got != free.GetNamespace() {
			t.Errorf("worked on in %s, which is no tenant", got)
		}
	}
	b.label(t, other, "yes")
	for next(t, passed, "a reconcile beside one that hangs") != other.GetNamespace() {
	}
	ends("the namespace", func() {
		if err := b.client.Delete(t.Context(), b.namespace(hangs)); err != nil {
			t.Fatal(err)
		}
	})

	// What the operator does next is done after all that it does for who is gone.
	b.label(t, other, "no")
	b.label(t, free, "no")
	b.label(t, free, "yes")
	for next(t, passed, "a reconcile in what is a tenant again") != free.GetNamespace() {
	}
	time.Sleep(notice)
	if len(begun) != 0 {
		t.Error("worked on in a namespace that is being deleted")
	}
	if n := w.in(hangs.GetNamespace()); n != 0 {
		t.Errorf("%d writes for a tenant that is gone", n)
	}
	if b.Kind.Conditions != nil && w.in(free.GetNamespace()) == 0 {
		t.Error("no write is noted where there must be one")
	}
}

// next receives what must come soon.
func next[V any](t *testing.T, from <-chan V, what string) V {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
	}
	t.Fatalf("waited in vain for %s", what)
	panic("unreachable")
}

// writes counts, by namespace, the requests that write anything but events.
type writes struct {
	mu sync.Mutex
	by map[string]int
}

func (w *writes) in(namespace string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by[namespace]
}

// noted notes the requests that pass.
func (w *writes) noted(transport http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		_, place, _ := strings.Cut(r.URL.Path, "/namespaces/")
		namespace, resource, _ := strings.Cut(place, "/")
		resource, _, _ = strings.Cut(resource, "/")
		if r.Method != http.MethodGet && resource != "events" {
			w.mu.Lock()
			w.by[namespace]++
			w.mu.Unlock()
		}
		return transport.RoundTrip(r)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (b *bench[T]) namespace(obj T) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: obj.GetNamespace()}}
}

// label makes a tenant of the namespace of obj, or makes it none any more.
func (b *bench[T]) label(t *testing.T, obj T, value string) {
	t.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"`+tenantLabel+`":"`+value+`"}}}`))
	if err := b.client.Patch(t.Context(), b.namespace(obj), patch); err != nil {
		t.Fatal(err)
	}
}
