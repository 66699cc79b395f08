//go:build integration

package integration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/lag"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// guided is a user whose passes over one object end as they are told to, one by one.
type guided struct {
	name   string
	begun  chan struct{}
	answer chan error
}

func guide(w *widget) *guided {
	return &guided{name: w.Name, begun: make(chan struct{}), answer: make(chan error)}
}

func (g *guided) work(ctx context.Context, w *widget) error {
	if w.Name != g.name {
		return nil
	}
	select {
	case g.begun <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-g.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *guided) ReconcileKind(ctx context.Context, w *widget) error { return g.work(ctx, w) }
func (g *guided) FinalizeKind(ctx context.Context, w *widget) error  { return g.work(ctx, w) }

// await waits until a pass has begun.
func (g *guided) await(t *testing.T) {
	t.Helper()
	select {
	case <-g.begun:
	case <-time.After(20 * time.Second):
		t.Fatal("no pass begins")
	}
}

// What kstatus makes of an object over its life is what the operator knows of it.
func TestToolsAgreeWithTheOperator(t *testing.T) {
	for _, late := range []time.Duration{0, 50 * time.Millisecond} {
		t.Run(late.String(), func(t *testing.T) {
			p, err := lag.New(config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			p.Delay(late)
			w := create(t, &widget{})
			g := guide(w)
			o := run(t, p.Config(), manager.Settings{}, g)
			computed := func() status.Status {
				u := &unstructured.Unstructured{}
				u.SetGroupVersionKind(runtimetest.GroupVersion.WithKind("Widget"))
				if err := direct(t).Get(t.Context(), client.ObjectKeyFromObject(w), u); err != nil {
					t.Fatal(err)
				}
				result, err := status.Compute(u)
				if err != nil {
					t.Fatal(err)
				}
				return result.Status
			}
			becomes := func(when string, want status.Status) {
				t.Helper()
				eventually(t, when+" it is "+want.String(), func() bool { return computed() == want })
			}
			stays := func(when string, want status.Status) {
				t.Helper()
				if got := computed(); got != want {
					t.Errorf("%s it is %s, want %s", when, got, want)
				}
			}
			resize := func() {
				t.Helper()
				w = get(t, w)
				w.Spec.Size++
				if err := direct(t).Update(t.Context(), w); err != nil {
					t.Fatal(err)
				}
			}

			g.await(t)
			g.answer <- errors.New("the bank is down")
			g.await(t) // the next pass begins when the first has said what it came to
			stays("after a failure", status.InProgressStatus)
			g.answer <- requeue.Pending(time.Millisecond, "Waiting", "for the bank")
			g.await(t)
			stays("while it waits", status.InProgressStatus)
			g.answer <- nil
			becomes("after a success", status.CurrentStatus)

			resize()
			g.await(t)
			stays("during a pass over a new generation", status.InProgressStatus)
			g.answer <- requeue.Terminal(errors.New("the card is refused"))
			becomes("after a terminal error", status.FailedStatus)

			resize()
			g.await(t)
			g.answer <- nil
			becomes("after a success again", status.CurrentStatus)

			resize()
			g.await(t)
			if _, err := o.end(); err != nil {
				t.Fatal(err)
			}
			stays("after an interruption", status.InProgressStatus)

			next := guide(w)
			run(t, p.Config(), manager.Settings{}, next)
			next.await(t)
			next.answer <- nil
			becomes("after the next operator's pass", status.CurrentStatus)
			if err := direct(t).Delete(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			next.await(t)
			stays("during its deletion", status.TerminatingStatus)
			next.answer <- nil
		})
	}
}
