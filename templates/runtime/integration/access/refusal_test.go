//go:build integration

package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/access"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// TestARefusalIsToldAndRests follows an object whose spec makes its reconciler write in
// another namespace, until the spec is put right.
func TestARefusalIsToldAndRests(t *testing.T) {
	rt := confine(t, access.Settings{})
	w := &runtimetest.Widget{ObjectMeta: meta(north, "refused")}
	refusals := make(chan *access.RefusedError, 10)
	rt.user.does(w, func(ctx context.Context, w *runtimetest.Widget) error {
		namespace := south
		if w.Spec.Size > 0 {
			namespace = north
		}
		err := rt.GetClient().Patch(ctx, configMap(namespace, "there"), labelled())
		if refused, ok := errors.AsType[*access.RefusedError](err); ok {
			refusals <- refused
		}
		return err
	})
	rt.create(w)
	ready := rt.says(w, metav1.ConditionFalse, access.Reason)
	if refused := <-refusals; !strings.HasSuffix(ready.Message, ": "+refused.Error()) {
		t.Errorf("the condition says %q, of %v", ready.Message, refused)
	}
	before := rt.user.of(w)
	time.Sleep(time.Second) // in which it would be tried again some seven times
	if after := rt.user.of(w); after != before {
		t.Errorf("%d passes more, without a change", after-before)
	}
	plane.Patch(t, w, map[string]any{"spec": map[string]any{"size": 1}})
	rt.says(w, metav1.ConditionTrue, reconciler.ReasonReconciled)
	for namespace, want := range map[string]string{north: "yes", south: ""} {
		there := configMap(namespace, "there")
		if err := plane.Client(t).Get(t.Context(), client.ObjectKeyFromObject(there), there); err != nil {
			t.Fatal(err)
		}
		if got := there.Labels["stolen"]; got != want {
			t.Errorf("in %s the label is %q, want %q", namespace, got, want)
		}
	}
}

// says waits until the Ready condition of a widget is about its generation and as wanted,
// and returns it.
func (o *operator) says(w *runtimetest.Widget, status metav1.ConditionStatus, reason string) *metav1.Condition {
	o.t.Helper()
	var ready *metav1.Condition
	cluster.Eventually(o.t, "the condition", func() string {
		if err := plane.Client(o.t).Get(o.t.Context(), client.ObjectKeyFromObject(w), w); err != nil {
			return err.Error()
		}
		ready = apimeta.FindStatusCondition(w.Status.Conditions, reconciler.ConditionReady)
		if ready == nil || ready.ObservedGeneration != w.Generation || ready.Status != status || ready.Reason != reason {
			return fmt.Sprint(ready)
		}
		return ""
	})
	return ready
}
