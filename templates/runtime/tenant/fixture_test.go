package tenant

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// fixture is a Set and the sandboxes of one kind. What is enqueued is noted.
type fixture struct {
	*Set
	*Sandboxes
	mu       sync.Mutex
	enqueued []string
}

func build(t testing.TB, workers int, namespaces ...string) *fixture {
	f := &fixture{Set: New(t.Context())}
	f.Sandboxes = f.Set.Sandboxes(kind(t, workers, nil))
	f.enqueue = func(r reconcile.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.enqueued = append(f.enqueued, r.String())
	}
	for _, name := range namespaces {
		f.Put(Namespace{Name: name, UID: types.UID("uid-of-" + name)})
	}
	return f
}

func kind(t testing.TB, workers int, cache client.Reader) Kind {
	return Kind{Name: t.Name(), Workers: workers, Cache: cache, Object: &runtimetest.Widget{}, List: &runtimetest.WidgetList{}}
}

// calls returns what was enqueued since it was last asked.
func (f *fixture) calls() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := fmt.Sprint(f.enqueued)
	f.enqueued = nil
	return calls
}

func key(namespace, name string) client.ObjectKey {
	return client.ObjectKey{Namespace: namespace, Name: name}
}

// work is what must be able to begin.
func (f *fixture) work(t testing.TB, namespace, name string) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, leave, err := f.Enter(t.Context(), key(namespace, name))
	if err != nil {
		t.Fatalf("%s/%s: %v", namespace, name, err)
	}
	return ctx, leave
}

// park is what must have to wait.
func (f *fixture) park(t testing.TB, namespace, name string) {
	t.Helper()
	_, leave, err := f.Enter(t.Context(), key(namespace, name))
	if err == nil {
		leave()
	}
	if err != ErrWaiting {
		t.Fatalf("%s/%s: error %v, want it to wait", namespace, name, err)
	}
}

func (f *fixture) wantCalls(t testing.TB, want string) {
	t.Helper()
	if got := f.calls(); got != want {
		t.Errorf("enqueued %s, want %s", got, want)
	}
}
