//go:build integration

package integration_test

import (
	"context"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
)

// choosy is a user's reconciler that takes objects of one label, two at a time.
type choosy struct{ user }

func (choosy) Predicates() []predicate.Predicate {
	return []predicate.Predicate{predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()["take"] == "yes" })}
}

func (choosy) ConfigureOptions(o *controller.Options) { o.MaxConcurrentReconciles = 2 }

func TestAKindHasPredicatesAndOptionsOfItsOwn(t *testing.T) {
	left := create(t, &widget{})
	taken := []*widget{{}, {}}
	for i, w := range taken {
		w.Labels = map[string]string{"take": "yes"}
		taken[i] = create(t, w)
	}
	begun, both := make(chan string), make(chan struct{})
	run(t, config, manager.Settings{}, choosy{func(ctx context.Context, w *widget) error {
		begun <- w.Name
		select {
		case <-both:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}})
	names := map[string]bool{<-begun: true, <-begun: true}
	close(both)
	for _, w := range taken {
		if !names[w.Name] {
			t.Errorf("passes of %v, and none of %s", names, w.Name)
		}
		eventually(t, "taken", func() bool { return ready(get(t, w)).Reason == reconciler.ReasonReconciled })
	}
	if ready(get(t, left)).Type != "" {
		t.Error("a pass for an object that is filtered out")
	}
	if err := direct(t).Patch(t.Context(), left, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"take":"yes"}}}`))); err != nil {
		t.Fatal(err)
	}
	if name := <-begun; name != left.Name {
		t.Errorf("a pass of %s, want one of %s", name, left.Name)
	}
}
