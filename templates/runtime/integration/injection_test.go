//go:build integration

package integration_test

import (
	"context"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
)

// What user code finds in its context without a line of its own: the values of
// the root, the logger with its reconcileID, the budget, and the term.
func TestWhatArrivesInAReconcile(t *testing.T) {
	w := create(t, &widget{})
	type found struct {
		root     any
		id       string
		left     time.Duration
		deadline bool
		joined   error
	}
	seen := make(chan found, 10)
	o := run(t, config, manager.Settings{
		ReconcileTimeout: 20 * time.Second, StatusReserve: 5 * time.Second,
		LeaderElection: true, LeaderElectionID: "injection", Leader: leader.Settings{Namespace: "default"},
	}, user(func(ctx context.Context, o *widget) error {
		if o.Name != w.Name {
			return nil
		}
		f := found{root: ctx.Value(rootKey{}), id: string(controller.ReconcileIDFromContext(ctx))}
		if end, ok := ctx.Deadline(); ok {
			f.left, f.deadline = time.Until(end), true
		}
		_, leave, err := leader.Join(ctx)
		if f.joined = err; err == nil {
			leave()
		}
		log.FromContext(ctx).Info("Here")
		seen <- f
		return nil
	}))
	f := <-seen
	if f.root != "root" {
		t.Errorf("the root's value is %v", f.root)
	}
	if !f.deadline || f.left > 15*time.Second || f.left < 10*time.Second {
		t.Errorf("%s left of 15s for the work (deadline: %t)", f.left, f.deadline)
	}
	if f.joined != nil {
		t.Errorf("Join: %v", f.joined)
	}
	line := o.logged("Here")
	if f.id == "" || line["reconcileID"] != f.id || line["controller"] != "widget" || line["name"] != w.Name || line["generation"] != 1.0 {
		t.Errorf("reconcileID %q, logged with %v", f.id, line)
	}
}
