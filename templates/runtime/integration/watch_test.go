//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/conformance"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

var widgets = runtimetest.GroupVersion.WithResource("widgets")

// mirror is a Handler that keeps the sizes of all widgets.
type mirror struct {
	mu       sync.Mutex
	sizes    map[string]int64
	replaced int
}

func (m *mirror) Replace(_ context.Context, items []apiruntime.Object) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replaced++
	m.sizes = map[string]int64{}
	for _, item := range items {
		m.sizes[item.(*widget).Name] = item.(*widget).Spec.Size
	}
	return nil
}

func (m *mirror) Handle(_ context.Context, e apiwatch.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := e.Object.(*widget)
	if e.Type == apiwatch.Deleted {
		delete(m.sizes, w.Name)
	} else {
		m.sizes[w.Name] = w.Spec.Size
	}
	return nil
}

func (m *mirror) size(name string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size, ok := m.sizes[name]
	return size, ok
}

func resize(t testing.TB, w *widget, size int64) {
	t.Helper()
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"size":%d}}`, size))
	if err := direct(t).Patch(t.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Name: w.Name, Namespace: w.Namespace}}, patch); err != nil {
		t.Fatal(err)
	}
}

func TestAHandMadeWatchSurvivesTheNetwork(t *testing.T) {
	var n conformance.Network
	c, err := client.NewWithWatch(n.Through(config), client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	w := create(t, &widget{})
	m := &mirror{}
	loop := &watch.Loop{
		Source:  watch.For(c, &runtimetest.WidgetList{}, client.InNamespace("default")),
		Handler: m,
		Backoff: budget.Backoff{Base: 10 * time.Millisecond, Max: 50 * time.Millisecond},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- loop.Start(ctx) }()
	eventually(t, "the first list", func() bool { _, ok := m.size(w.Name); return ok })

	size := int64(0)
	follow := func(what string) {
		t.Helper()
		size++
		resize(t, w, size)
		eventually(t, what, func() bool { got, _ := m.size(w.Name); return got == size })
	}
	follow("an event")
	settled := runtime.NumGoroutine()
	for i := range 10 {
		n.Cut(t)
		follow(fmt.Sprintf("an event after cut %d", i))
	}
	if lists := n.Traffic(widgets).Lists; lists != 1 {
		t.Errorf("%d lists after cut connections, want the first one only", lists)
	}
	if watches := n.Traffic(widgets).Watches; watches < 11 {
		t.Errorf("%d watches", watches)
	}

	n.Refuse(true)
	n.Cut(t)
	resize(t, w, size+1)
	time.Sleep(200 * time.Millisecond)
	n.Refuse(false)
	size++
	follow("an event after an outage")
	if lists := n.Traffic(widgets).Lists; lists != 1 {
		t.Errorf("%d lists after an outage, want the first one only", lists)
	}

	n.Expire(widgets)
	n.Cut(t)
	follow("an event after 410")
	if lists := n.Traffic(widgets).Lists; lists != 2 || m.replaced != 2 {
		t.Errorf("%d lists and %d replacements after one 410, want 2", lists, m.replaced)
	}

	eventually(t, "goroutines as before", func() bool { return runtime.NumGoroutine() <= settled+2 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The last step of the comparison: what the cache's own informer does under the
// same cuts, as nothing else is needed where the cache can be used.
func TestTheCacheDoesNotListAfterCuts(t *testing.T) {
	var n conformance.Network
	w := create(t, &widget{})
	sizes := make(chan int64, 100)
	run(t, n.Through(config), manager.Settings{}, user(func(_ context.Context, o *widget) error {
		if o.Name == w.Name {
			sizes <- o.Spec.Size
		}
		return nil
	}))
	await := func(size int64) {
		t.Helper()
		timeout := time.After(20 * time.Second)
		for {
			select {
			case got := <-sizes:
				if got == size {
					return
				}
			case <-timeout:
				t.Fatalf("size %d is not reconciled", size)
			}
		}
	}
	await(0)
	lists := n.Traffic(widgets).Lists
	for i := range int64(3) {
		n.Cut(t)
		resize(t, w, i+1)
		await(i + 1)
	}
	if got := n.Traffic(widgets).Lists; got != lists {
		t.Errorf("%d lists after cut connections", got-lists)
	}
}
