package reconciler_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// told are informers that hear of events from the test. The sources of a
// controller register at the same time, for which the fakes have no lock.
type told struct {
	informertest.FakeInformers
	mu sync.Mutex
}

func (c *told) GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	informer, err := c.FakeInformers.GetInformer(ctx, obj, opts...)
	return registrar{informer, &c.mu}, err
}

// to is the informer of the kind of obj.
func (c *told) to(t *testing.T, obj client.Object) *controllertest.FakeInformer {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	informer, err := c.FakeInformerFor(t.Context(), obj)
	if err != nil {
		t.Fatal(err)
	}
	return informer
}

type registrar struct {
	cache.Informer
	mu *sync.Mutex
}

func (r registrar) AddEventHandlerWithOptions(h toolscache.ResourceEventHandler, o toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Informer.AddEventHandlerWithOptions(h, o)
}

// offline is a manager whose informers are told of events by the test.
func offline(t *testing.T) (ctrl.Manager, *told) {
	t.Helper()
	informers := &told{FakeInformers: informertest.FakeInformers{Scheme: runtimetest.Scheme()}}
	o := ctrl.Options{Scheme: runtimetest.Scheme(), Logger: logr.Discard()}
	o.NewCache = func(*rest.Config, cache.Options) (cache.Cache, error) { return informers, nil }
	o.Controller.ReconciliationTimeout = limit.Total
	o.Metrics.BindAddress, o.Controller.SkipNameValidation = "0", new(true)
	mgr, err := ctrl.NewManager(&rest.Config{Host: "http://127.0.0.1:1"}, o)
	if err != nil {
		t.Fatal(err)
	}
	return mgr, informers
}

// register registers a kind that u reconciles.
func register(t *testing.T, mgr ctrl.Manager, workers int, u reconciler.Interface[*widget]) error {
	t.Helper()
	k := kind()
	k.Workers = workers
	loop, err := reconciler.New(start(t, `{}`), k, u)
	if err != nil {
		t.Fatal(err)
	}
	return loop.Register(mgr, chain.Wrap(loop.Reconcile, loop.Budget))
}

type optioned struct {
	user
	change func(*controller.Options)
}

func (o optioned) ConfigureOptions(options *controller.Options) { o.change(options) }

// configured is a user's reconciler with a Configure beside its other abilities.
type configured struct {
	reconciler.Interface[*widget]
	configure func(*reconciler.Builder)
}

func (c configured) Configure(b *reconciler.Builder) error { c.configure(b); return nil }

type configuredPeriodic struct {
	configured
	reconciler.Periodic
}

type configuredOptions struct {
	configured
	reconciler.OptionsConfigurer
}

func TestNoOptionsAreLostInConfigure(t *testing.T) {
	tick := periodic{user: succeed, every: time.Minute}
	own := optioned{user: succeed, change: func(*controller.Options) {}}
	replace := func(b *reconciler.Builder) { b.WithOptions(controller.Options{MaxConcurrentReconciles: 8}) }
	log := func(b *reconciler.Builder) {
		b.WithLogConstructor(func(*reconcile.Request) logr.Logger { return logr.Discard() })
	}
	for name, test := range map[string]struct {
		user    reconciler.Interface[*widget]
		workers int
		refused bool
	}{
		"nothing to lose":                 {configured{user(succeed), replace}, 0, false},
		"the bound of the backoff":        {configuredPeriodic{configured{user(succeed), replace}, tick}, 0, true},
		"the number of workers":           {configured{user(succeed), replace}, 8, true},
		"options of the user's own":       {configuredOptions{configured{user(succeed), replace}, own}, 0, true},
		"another logger":                  {configuredPeriodic{configured{user(succeed), log}, tick}, 4, false},
		"another logger and own options":  {configuredOptions{configured{user(succeed), log}, own}, 0, false},
		"own options and no Configure":    {own, 4, false},
		"a period without any configured": {tick, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			mgr, _ := offline(t)
			err := register(t, mgr, test.workers, test.user)
			if refused := err != nil; refused != test.refused {
				t.Errorf("error %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "ConfigureOptions") {
				t.Errorf("error %q does not say what to do", err)
			}
		})
	}
}

func TestUsersChangeTheOptionsThatTheRuntimeHasSet(t *testing.T) {
	mgr, _ := offline(t)
	limiter, queues := workqueue.DefaultTypedControllerRateLimiter[reconcile.Request](), make(chan workqueue.TypedRateLimiter[reconcile.Request], 1)
	var given controller.Options
	own := optioned{change: func(o *controller.Options) {
		given = *o
		o.RateLimiter = limiter
		o.NewQueue = func(name string, l workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
			queues <- l
			return workqueue.NewTypedRateLimitingQueue(l)
		}
	}}
	if err := register(t, mgr, 3, configuredOptionsPeriodic{user(succeed), own, periodic{every: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	if given.MaxConcurrentReconciles != 3 || given.RateLimiter == nil {
		t.Errorf("given %+v, want what the runtime has set", given)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- mgr.Start(ctx) }()
	if used := <-queues; used != limiter {
		t.Errorf("the queue has %T, want the user's", used)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type configuredOptionsPeriodic struct {
	reconciler.Interface[*widget]
	reconciler.OptionsConfigurer
	reconciler.Periodic
}

// A pass of a long budget is ended by its own deadline, or at shutdown, and not by
// the process's backstop.
func TestALongBudgetHasALaterBackstop(t *testing.T) {
	for total, want := range map[time.Duration]time.Duration{time.Hour: time.Hour, limit.Total: 0, limit.Total / 2: 0} {
		mgr, _ := offline(t)
		var given time.Duration
		if err := register(t, mgr, 0, struct {
			reconciler.Interface[*widget]
			reconciler.Budgeted
			reconciler.OptionsConfigurer
		}{
			user(succeed), budgeted{budget: budget.Reconcile{Total: total, Reserve: time.Second}},
			optioned{change: func(o *controller.Options) { given = o.ReconciliationTimeout }},
		}); err != nil {
			t.Fatal(err)
		}
		if given != want {
			t.Errorf("a budget of %s has the backstop %s, want %s", total, given, want)
		}
	}
}

func TestALongPassIsCutShortAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, `{}`)
		_, f := build(t, p, struct {
			reconciler.Interface[*widget]
			reconciler.Budgeted
		}{user(hang), budgeted{budget: budget.Reconcile{Total: time.Hour, Reserve: time.Second}}})
		asked := time.Now().Add(10 * time.Minute) // long after another pass would have ended
		time.AfterFunc(10*time.Minute, func() { p.Stop(cause.Shutdown) })
		err := f(t.Context(), request)
		if !chain.IsCutShort(err) || !errors.Is(err, cause.Shutdown) || !time.Now().Equal(asked) {
			t.Errorf("%s after the shutdown began it ends with %v", time.Since(asked), err)
		}
	})
}

func TestWorkersThatOthersCountOnStay(t *testing.T) {
	mgr, _ := offline(t)
	err := register(t, mgr, 3, optioned{succeed, func(o *controller.Options) { o.MaxConcurrentReconciles = 4 }})
	if err == nil || !strings.Contains(err.Error(), "MaxConcurrentReconciles") {
		t.Errorf("error %v", err)
	}
}

// A builder's controller may be asked whether it needs to be elected at any time.
func TestOptionsKeepWhatTheySayOfElection(t *testing.T) {
	for _, need := range []bool{true, false} {
		mgr, _ := offline(t)
		r := &recording{Manager: mgr}
		if err := register(t, r, 0, optioned{succeed, func(o *controller.Options) { o.NeedLeaderElection = new(need) }}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.needs, []bool{need}) {
			t.Errorf("controllers that need election: %v, want %t", r.needs, need)
		}
	}
}

// recording notes which runnables need election.
type recording struct {
	ctrl.Manager
	needs []bool
}

func (r *recording) Add(runnable manager.Runnable) error {
	r.needs = append(r.needs, runnable.(interface{ NeedLeaderElection() bool }).NeedLeaderElection())
	return r.Manager.Add(runnable)
}

// choosy is a reconciler that looks at no object with the label "ignore".
type choosy struct{ user }

func (choosy) Predicates() []predicate.Predicate {
	return []predicate.Predicate{predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()["ignore"] == "" })}
}

func (choosy) Interruptible() bool { return true }

// What causes no pass must not interrupt one either, or the object is lost.
func TestPredicatesOfTheKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mgr, informers := offline(t)
		p := start(t, `{}`)
		passes, ends := 0, make(chan error)
		loop, err := reconciler.New(p, kind(), choosy{func(ctx context.Context, _ *widget) error {
			passes++
			select {
			case err := <-ends:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		var outcomes []error
		recorded := func(next chain.Func) chain.Func {
			return func(ctx context.Context, req reconcile.Request) error {
				err := next(ctx, req)
				outcomes = append(outcomes, err)
				return err
			}
		}
		if err := loop.Register(mgr, chain.Wrap(loop.Reconcile, recorded, loop.Budget)); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- mgr.Start(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		informer := informers.to(t, &widget{})
		at := func(generation int64, labels map[string]string) *widget {
			w := p.Widget()
			w.Generation, w.ResourceVersion, w.Labels = generation, strconv.FormatInt(10*generation, 10), labels
			return w
		}
		ignored := map[string]string{"ignore": "yes"}
		informer.Add(at(1, ignored))
		if synctest.Wait(); passes != 0 {
			t.Error("a pass for an event that is filtered out")
		}
		unlabelled := at(1, nil)
		unlabelled.ResourceVersion = "11"
		informer.Update(at(1, ignored), unlabelled)
		if synctest.Wait(); passes != 1 {
			t.Fatalf("%d passes, want 1", passes)
		}
		informer.Update(at(1, nil), at(2, ignored))
		if synctest.Wait(); len(outcomes) != 0 {
			t.Errorf("interrupted, by what causes no other pass, with %v", outcomes)
		}
		status := at(1, nil)
		status.ResourceVersion = "11"
		informer.Update(at(1, nil), status)
		ends <- nil
		if synctest.Wait(); passes != 1 {
			t.Error("the runtime's own predicate is lost")
		}
		informer.Update(at(1, ignored), at(2, nil))
		synctest.Wait()
		informer.Update(at(2, nil), at(3, nil))
		synctest.Wait()
		if n := len(outcomes); n == 0 || !errors.Is(outcomes[n-1], cause.Superseded) {
			t.Errorf("outcomes %v, want the last interrupted", outcomes)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
