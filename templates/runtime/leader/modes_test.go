package leader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// observer starts a replica that observes until the returned function lets it
// be elected.
func observer(t *testing.T, a *api) (*replica, func() *Term) {
	t.Helper()
	if _, err := a.Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	a.steal("thief", time.Hour)
	r := compete(t, a, "me")
	synctest.Wait()
	return r, func() *Term {
		a.steal("thief", time.Second)
		return r.await(t, nil)
	}
}

func TestGate(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me, elect := observer(t, a)
		var over func() error // of the work's context
		observed, reconciled := errors.New("observed"), errors.New("reconciled")
		f := chain.Wrap(
			func(ctx context.Context, _ reconcile.Request) error { over = ctx.Err; return reconciled },
			me.Gate(func(context.Context, reconcile.Request) error { return observed }),
		)
		if err := f(t.Context(), reconcile.Request{}); err != observed {
			t.Errorf("while observing: %v", err)
		}
		term := elect()
		if err := f(t.Context(), reconcile.Request{}); err != reconciled {
			t.Errorf("while leading: %v", err)
		}
		if over() == nil {
			t.Error("the work's context outlives the pass")
		}
		gate := me.Gate(nil)(func(ctx context.Context, _ reconcile.Request) error {
			a.steal("thief", time.Hour)
			<-ctx.Done()
			if _, _, err := (budget.Reconcile{Total: time.Minute, Reserve: time.Second}).BeginStatus(ctx); !errors.Is(err, cause.LeadershipLost) {
				t.Errorf("a status may be written after the term: %v", err)
			}
			return context.Cause(ctx)
		})
		if err := gate(t.Context(), reconcile.Request{}); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("work that was under way: %v", err)
		}
		if term.Check() == nil {
			t.Error("the term goes on")
		}
	})
}

func TestJoinSticksToTheTermOfTheWork(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me, elect := observer(t, a)
		process := me.Into(t.Context())
		if _, _, err := Join(process); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("joined while observing: %v", err)
		}
		term := elect()
		work, leave, err := Join(process)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		if err := a.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		me.await(t, term)
		if _, _, err := Join(work); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("work of an earlier term joined a later one: %v", err)
		}
		if _, leave, err := Join(process); err != nil {
			t.Error(err)
		} else {
			leave()
			leave() // more than once does no harm
		}
	})
}

// A clean-up that must also be made when its work was cancelled is detached from
// it, as context.WithoutCancel is for, and so outlives the term.
func TestAWriteDecidedInAnEarlierTermIsNotSentInALaterOne(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		first := me.await(t, nil)
		sent := 0
		cfg, err := me.Fence(&rest.Config{Host: "http://api", Transport: answering(func(*http.Request) { sent++ })})
		if err != nil {
			t.Fatal(err)
		}
		client, err := rest.HTTPClientFor(cfg)
		if err != nil {
			t.Fatal(err)
		}
		remove := func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodDelete, "http://api/api/v1/namespaces/default/pods/p", nil)
			if err != nil {
				return err
			}
			response, err := client.Do(r)
			if err != nil {
				return err
			}
			return response.Body.Close()
		}
		pass, leave, err := first.Join(me.Into(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		cleanup := context.WithoutCancel(pass)
		if err := remove(cleanup); err != nil || sent != 1 {
			t.Errorf("in its own term: %d sent, %v", sent, err)
		}
		a.steal("thief", time.Second)
		second := me.await(t, first)
		var refused *fence.RefusedError
		if err := remove(cleanup); !errors.As(err, &refused) || !strings.Contains(err.Error(), "held by thief") || sent != 1 {
			t.Errorf("in a later one: %d sent, %v", sent, err)
		}
		if _, _, err := second.Join(cleanup); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("joined a later term: %v", err)
		}
		if err := remove(t.Context()); err != nil || sent != 2 {
			t.Errorf("of no term: %d sent, %v", sent, err)
		}
	})
}

// answering stands for an API server that takes everything.
type answering func(*http.Request)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestTermOfIsTheTermThatWasJoined(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		term := me.await(t, nil)
		if found, ok := TermOf(me.Into(t.Context())); ok {
			t.Errorf("term %v of work that joined none", found)
		}
		work, leave, err := me.Join(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		other := newTerm(t.Context(), "me", 1, time.Hour, now, now()) // of another lease
		both, leave, err := other.Join(work)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		term.end(cause.LeadershipLost)
		for name, test := range map[string]struct {
			ctx  context.Context
			want *Term
		}{
			"of the work":       {work, term},
			"of detached work":  {context.WithoutCancel(work), term},
			"the innermost one": {both, other},
		} {
			if found, ok := TermOf(test.ctx); !ok || found != test.want {
				t.Errorf("%s: %v, %t", name, found, ok)
			}
		}
		if _, _, err := Join(work); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("joined a term that is over: %v", err)
		}
		if !term.Joined(both) || !other.Joined(both) || other.Joined(work) {
			t.Error("terms of two leases are taken for each other")
		}
		other.end(cause.LeadershipLost)
	})
}

// Also for work that had ended before the term did, for a reason of its own.
func TestNoStatusIsWrittenAfterTheTerm(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		term := compete(t, a, "me").await(t, nil)
		work, end := context.WithCancel(t.Context())
		joined, leave, err := term.Join(work)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		end()
		reserve := budget.Reconcile{Total: time.Minute, Reserve: time.Second}
		status, release, err := reserve.BeginStatus(joined)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		term.end(cause.LeadershipLost)
		if synctest.Wait(); !errors.Is(context.Cause(status), cause.LeadershipLost) {
			t.Errorf("a status that is being written: %v", context.Cause(status))
		}
		if _, _, err := reserve.BeginStatus(joined); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("a status that is to be written: %v", err)
		}
	})
}

// Or a write would fail, with its connection cut, before its context says why.
func TestWhatIsUnderWayIsToldFirst(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		term := compete(t, a, "me").await(t, nil)
		told := make(chan error, 1)
		work := &use{cancel: func(why error) {
			if why != nil {
				told <- term.ctx.Err()
			}
		}}
		if err := term.enter(work, nil); err != nil {
			t.Fatal(err)
		}
		defer term.leave(work)
		a.steal("thief", time.Hour)
		if <-told != nil {
			t.Error("the end was acted upon before everybody was told")
		}
	})
}

// Or work would find a write within it refused, and itself under way.
func TestAUseIsToldBeforeTheUsesWithinIt(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		term := compete(t, a, "me").await(t, nil)
		for range 100 {
			outer, leave, err := term.Join(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer leave()
			within, leave, err := term.Join(outer)
			if err != nil {
				t.Fatal(err)
			}
			defer leave()
			inner := joinedOf(within, nil).use
			cancel := inner.cancel
			inner.cancel = func(why error) {
				if why != nil && !errors.Is(context.Cause(outer), cause.LeadershipLost) {
					t.Error("the outer one is not told yet")
				}
				cancel(why)
			}
		}
		term.end(cause.LeadershipLost)
	})
}

// queue records what is added with which priority.
type queue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	added chan string
}

func (q *queue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	for _, r := range requests {
		q.added <- fmt.Sprint(r, " ", *o.Priority)
	}
}

// reader is a cache that is filled after some attempts.
type reader struct {
	client.Reader
	failures atomic.Int32
}

func (r *reader) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if r.failures.Add(-1) >= 0 {
		return errors.New("not filled yet")
	}
	for _, name := range []string{"a", "b"} {
		w := runtimetest.Widget{}
		w.Namespace, w.Name = "default", name
		list.(*runtimetest.WidgetList).Items = append(list.(*runtimetest.WidgetList).Items, w)
	}
	return nil
}

func TestGainsEnqueueEverythingInEachTerm(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me, elect := observer(t, a)
		q := &queue{added: make(chan string, 100)}
		cache := &reader{}
		cache.failures.Store(3)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := me.Gains(cache, &runtimetest.WidgetList{}).Start(ctx, q); err != nil {
			t.Fatal(err)
		}
		if time.Sleep(time.Minute); len(q.added) != 0 {
			t.Error("enqueued while observing")
		}
		term := elect()
		for range 2 {
			time.Sleep(10 * time.Second)
			want := []string{fmt.Sprintf("default/a %d", handler.LowPriority), fmt.Sprintf("default/b %d", handler.LowPriority)}
			var got []string
			for len(q.added) > 0 {
				got = append(got, <-q.added)
			}
			if !slices.Equal(got, want) {
				t.Errorf("enqueued %v, want %v", got, want)
			}
			if err := a.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			term = me.await(t, term)
		}
	})
}

func TestGainsGoIntoAQueueWithoutPriorities(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer q.ShutDown()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := me.Gains(&reader{}, &runtimetest.WidgetList{}).Start(ctx, q); err != nil {
			t.Fatal(err)
		}
		if time.Sleep(time.Second); q.Len() != 2 {
			t.Errorf("%d objects enqueued", q.Len())
		}
	})
}

func TestRunnablesRunOncePerTerm(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me, elect := observer(t, a)
		var running, runs atomic.Int32
		failure := errors.New("boom")
		r := me.PerTerm(manager.RunnableFunc(func(ctx context.Context) error {
			running.Add(1)
			defer running.Add(-1)
			if runs.Add(1) == 3 {
				return failure
			}
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), cause.LeadershipLost) {
				t.Errorf("ended with cause %v", context.Cause(ctx))
			}
			return errors.New("of no interest")
		}))
		if r.(manager.LeaderElectionRunnable).NeedLeaderElection() {
			t.Error("controller-runtime would wait for its own election")
		}
		done := make(chan error, 1)
		go func() { done <- r.Start(t.Context()) }()
		if time.Sleep(time.Minute); runs.Load() != 0 {
			t.Error("runs while observing")
		}
		term := elect()
		for want := int32(1); want <= 2; want++ {
			if synctest.Wait(); running.Load() != 1 || runs.Load() != want {
				t.Errorf("%d runs, %d running", runs.Load(), running.Load())
			}
			time.Sleep(time.Minute)
			if err := a.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			term = me.await(t, term)
		}
		if err := <-done; err != failure {
			t.Errorf("Start returned %v", err)
		}
	})
}

// A write is refused as soon as the term is over. The context of who makes it is
// told a moment later, after those of work that was begun earlier.
func TestARunnableWhoseWriteIsRefusedFirstIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		term := me.await(t, nil)
		ran := make(chan struct{})
		earlier := &use{cancel: func(why error) {
			if why != nil {
				<-ran
			}
		}}
		if err := term.enter(earlier, nil); err != nil {
			t.Fatal(err)
		}
		defer term.leave(earlier)
		r := me.PerTerm(manager.RunnableFunc(func(ctx context.Context) error {
			for {
				_, leave, err := term.Join(ctx)
				if err != nil {
					return err
				}
				leave()
				time.Sleep(time.Second)
			}
		})).(perTerm)
		time.AfterFunc(time.Minute, func() { term.end(cause.LeadershipLost) })
		if err := r.run(t.Context(), term); err != nil {
			t.Errorf("losing the lease ends the process: %v", err)
		}
		close(ran)
	})
}

func TestHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me, elect := observer(t, a)
		name := me.heartbeat()
		beat := func() *coordinationv1.Lease {
			l, err := a.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return nil
			}
			return l
		}
		first := beat()
		if first == nil || holder(first) != "me" || length(first) != times.LeaseDuration || first.Labels[heartbeatOf] != leaseName {
			t.Fatalf("heartbeat %+v", first)
		}
		time.Sleep(times.LeaseDuration)
		if again := beat(); time.Since(again.Spec.RenewTime.Time) > times.LeaseDuration/2 {
			t.Errorf("no beat for %s", time.Since(again.Spec.RenewTime.Time))
		}
		elect()
		if synctest.Wait(); beat() != nil {
			t.Error("a heartbeat while leading")
		}
		a.steal("thief", time.Hour)
		if synctest.Wait(); beat() == nil {
			t.Error("no heartbeat once the term is over")
		}
		me.stop()
		if beat() != nil {
			t.Error("the heartbeat outlives the process")
		}
	})
}

func TestLeaderClearsDeadHeartbeatsAway(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		put := func(name string, labels map[string]string, age time.Duration) {
			seconds, moment := int32(5), metav1.NewMicroTime(time.Now().Add(-age))
			l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: coordinationv1.LeaseSpec{LeaseDurationSeconds: &seconds, RenewTime: &moment}}
			if _, err := a.Create(t.Context(), l, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		ours := map[string]string{heartbeatOf: leaseName}
		put("dead", ours, time.Hour)
		put("alive", ours, time.Second)
		put("of others", map[string]string{heartbeatOf: "other"}, time.Hour)
		put("no heartbeat", nil, time.Hour)
		me := compete(t, a, "me")
		me.await(t, nil)
		time.Sleep(time.Second)
		names := a.names()
		if _, ok := names["dead"]; ok || len(names) != 4 {
			t.Errorf("left %v", names)
		}
		put("dies later", ours, 0)
		time.Sleep(2 * stale * times.LeaseDuration)
		if _, ok := a.names()["dies later"]; ok {
			t.Error("only cleared at the beginning of the term")
		}
	})
}

// metric returns the value of a metric of the Lease as a scrape would see it.
func metric(t *testing.T, name string) float64 {
	t.Helper()
	found := runtimetest.Series(t, name, prometheus.Labels{"lease": leaseName})
	if len(found) != 1 {
		t.Fatalf("%d series %s of %s, want 1", len(found), name, leaseName)
	}
	return found[0].GetGauge().GetValue() + found[0].GetCounter().GetValue()
}

func TestMetricTellsTheMode(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		mode := func() float64 { return metric(t, "leader_leading") }
		me, elect := observer(t, a)
		if mode() != 0 {
			t.Error("leads while observing")
		}
		before := metric(t, "leader_terms_total")
		term := elect()
		if mode() != 1 || metric(t, "leader_terms_total") != before+1 {
			t.Error("observes while leading")
		}
		// The next term begins before the end of the last one is noted.
		if err := a.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		me.await(t, term)
		if synctest.Wait(); mode() != 1 {
			t.Error("observes in the second term")
		}
		a.steal("thief", time.Hour)
		if synctest.Wait(); mode() != 0 {
			t.Error("leads after the second term")
		}
	})
}

func TestAProcessWithoutElectionAlwaysLeads(t *testing.T) {
	var e *Election
	if !e.Leading() {
		t.Error("does not lead")
	}
	called := false
	next := chain.Func(func(context.Context, reconcile.Request) error { called = true; return nil })
	if err := e.Gate(nil)(next)(t.Context(), reconcile.Request{}); err != nil || !called {
		t.Errorf("gate: %v", err)
	}
	cfg := &rest.Config{}
	if fenced, err := e.Fence(cfg); err != nil || fenced != cfg {
		t.Errorf("fence: %v", err)
	}
	for name, join := range map[string]func(context.Context) (context.Context, context.CancelFunc, error){"method": e.Join, "function": Join} {
		ctx, leave, err := join(e.Into(t.Context()))
		if err != nil || ctx != t.Context() {
			t.Errorf("join by %s: %v", name, err)
		}
		leave()
	}
	if err := e.Gains(nil, nil).Start(t.Context(), nil); err != nil {
		t.Errorf("gains: %v", err)
	}
	ran := false
	if err := e.PerTerm(manager.RunnableFunc(func(context.Context) error { ran = true; return nil })).Start(t.Context()); err != nil || !ran {
		t.Errorf("runnable: %v", err)
	}
	w := httptest.NewRecorder()
	e.HTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })).
		ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusTeapot {
		t.Errorf("HTTP: %d", w.Code)
	}
}
