package reconciler

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/status"
)

// BenchmarkParts prints what the parts of a pass cost that finds everything in order.
func BenchmarkParts(b *testing.B) {
	l := relevantLoop()
	l.budget = budget.Reconcile{Total: time.Minute, Reserve: time.Second}
	l.snapshots.kind = l.kind
	l.snapshots.kind.New = func() *runtimetest.Widget { return &runtimetest.Widget{} }
	l.status = &status.Writer[*runtimetest.Widget]{Status: l.kind.Status, Subresource: true, Owned: l.owned}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	obj := widgetAt("a", 1)
	key, v := types.NamespacedName{Name: "a"}, judge(ctx, nil, "", obj)
	l.apply(v, obj, 1)
	before := l.snapshots.take(obj)
	parts := []struct {
		name string
		call func()
	}{
		{"deadline", func() { _, release := l.budget.Begin(ctx); release() }},
		{"cancel", func() {
			_, end := context.WithCancelCause(ctx)
			l.flights.start(key, end)
			l.flights.finish(key)
			end(nil)
		}},
		{"snapshot", func() { l.snapshots.take(obj) }},
		{"witness", func() { l.witnessed(ctx, before) }},
		{"verdict", func() { l.judge(ctx, nil, "", before); l.announce(v, before, "") }},
		{"say", func() { l.say(v, before, before, obj) }},
	}
	calls := make([]func(), len(parts))
	for i, part := range parts {
		calls[i] = part.call
	}
	for i, ns := range runtimetest.Medians(b, calls...) {
		b.ReportMetric(ns, parts[i].name+"-ns")
	}
}
