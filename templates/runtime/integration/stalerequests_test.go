//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/lag"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// asked is what an operator has asked of the API server about objects.
type asked struct{ reads, writes int }

// askedOf reads what a proxy has counted, without leases and watches.
func askedOf(p *lag.Proxy) (a asked) {
	for request, times := range p.Requests() {
		switch {
		case request.Resource.Resource == "leases" || request.Verb == "watch":
		case request.Verb == "get" || request.Verb == "list":
			a.reads += times
		default:
			a.writes += times
		}
	}
	return a
}

// side is one of the two operators that are compared, and its objects.
type side struct {
	*stale
	proxy  *lag.Proxy
	before asked
}

// since returns what has been asked since the last call, when nothing more is.
func (s *side) since() asked {
	for now := askedOf(s.proxy); ; now = askedOf(s.proxy) {
		if time.Sleep(300*time.Millisecond + 2*s.delay); now == askedOf(s.proxy) {
			since := asked{now.reads - s.before.reads, now.writes - s.before.writes}
			s.before = now
			return since
		}
	}
}

// Being right costs an object no more than one write from its creation to Ready,
// and no read; and an operator at rest asks for nothing.
func TestRequestsBesideAPlainOperator(t *testing.T) {
	requestsBesideAPlainOperator(t, "", writesStatus)
}

// The same where the user's code writes the object: what it was answered is known.
func TestRequestsWhereTheObjectIsWritten(t *testing.T) {
	requestsBesideAPlainOperator(t, ", written too", writesObject)
}

func requestsBesideAPlainOperator(t *testing.T, also string, work work) {
	objects := count(20, 1000)
	lagging(t, func(t *testing.T, s *stale) {
		var sides []*side
		for i, start := range starts {
			one := *s
			one.namespace += []string{"-plain", "-this"}[i]
			createNamespace(t, s.client, one.namespace)
			t.Cleanup(func() { one.clear(t) })
			p := s.proxy(t)
			ctx, stop := context.WithCancel(t.Context())
			ended := start(ctx, t, p.Config(), one.namespace, work)
			t.Cleanup(func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
			sides = append(sides, &side{stale: &one, proxy: p})
		}
		// stage has both operators do something and says what they have asked meanwhile.
		stage := func(name string, do func(*side)) (plain, this asked) {
			t.Helper()
			for _, one := range sides {
				do(one)
			}
			for _, one := range sides {
				if n := one.settles(t, func(w *widget) bool {
					return unready(w) || w.Status.Phase != fmt.Sprintf("Size%d", w.Spec.Size)
				}); n != 0 {
					t.Errorf("%s: %d objects are not ready", name, n)
				}
			}
			plain, this = sides[0].since(), sides[1].since()
			t.Logf("%s, %s late, %d objects: plain %+v, this %+v", name, s.delay, objects, plain, this)
			s.report(t, map[string]any{
				"requests": name + also, "delay": s.delay.Milliseconds(), "of": objects,
				"reads": this.reads, "writes": this.writes, "plain_reads": plain.reads, "plain_writes": plain.writes,
			})
			return plain, this
		}
		stage("start", func(*side) {})
		for _, step := range []struct {
			name string
			do   func(*side)
		}{
			{"creation", func(one *side) {
				for range objects {
					one.create(t, runtimetest.WidgetSpec{Size: 1})
				}
			}},
			{"a new generation", func(one *side) {
				for _, w := range one.stored(t) {
					one.resize(t, &w, 2)
				}
			}},
		} {
			if plain, this := stage(step.name, step.do); this.writes > plain.writes+objects || this.reads > plain.reads {
				t.Errorf("%s: %d objects take %+v, a plain operator %+v", step.name, objects, this, plain)
			}
		}
		if _, this := stage("rest", func(*side) { time.Sleep(time.Duration(count(1, 30)) * time.Second) }); this != (asked{}) {
			t.Errorf("at rest %+v is asked, want nothing", this)
		}
	})
}

// The last that this process knows of an object is its own write, and then somebody
// else deletes it: the cache, which has seen it go, needs no confirmation.
func TestADeletionAsksForNothing(t *testing.T) {
	nothing := func(context.Context, *widget) error { return nil }
	lagging(t, func(t *testing.T, s *stale) {
		for name, u := range map[string]struct {
			reconciler reconciler.Interface[*widget]
			writes     int // of each deletion
		}{
			"without a finalizer": {user(nothing), 0},
			"with a finalizer":    {finalizing{user(nothing), nothing}, 1},
		} {
			t.Run(name, func(t *testing.T) {
				one := *s
				p := one.proxy(t)
				o := one.operate(t, p.Config(), manager.Settings{}, u.reconciler)
				objects := count(10, 500)
				for range objects {
					one.create(t, runtimetest.WidgetSpec{})
				}
				if n := one.settles(t, unready); n != 0 {
					t.Fatalf("%d objects are not ready", n)
				}
				watched := &side{stale: &one, proxy: p}
				watched.since()
				for _, w := range one.stored(t) {
					if err := one.client.Delete(t.Context(), &w); err != nil {
						t.Fatal(err)
					}
				}
				if got, want := watched.since(), (asked{writes: u.writes * objects}); got != want {
					t.Errorf("%d deletions take %+v, want %+v", objects, got, want)
				}
				_, _ = o.end()
			})
		}
	})
}
