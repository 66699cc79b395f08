package manager

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// start makes a Runtime without servers whose API server is never asked.
func start(ctx context.Context, t *testing.T, settings Settings, configure func(*ctrl.Options)) *Runtime {
	t.Helper()
	settings.MetricsBindAddress, settings.ProbeBindAddress = "0", "0"
	r, err := New(ctx, &rest.Config{Host: "http://127.0.0.1:1"}, Options{
		Scheme: runtimetest.Scheme(), Settings: settings, Configure: configure,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func add(t *testing.T, r *Runtime, f func(context.Context) error) {
	t.Helper()
	if err := r.Add(manager.RunnableFunc(f)); err != nil {
		t.Fatal(err)
	}
}

type key struct{}

func TestRunnablesHaveTheRootsValuesAndOwnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, stop := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
		r := start(root, t, Settings{DrainDelay: time.Second}, nil)
		add(t, r, func(ctx context.Context) error {
			if ctx.Value(key{}) != "kept" {
				t.Error("the root's value is lost")
			}
			stop()
			if synctest.Wait(); ctx.Err() != nil {
				t.Error("ended with the root, before the drain delay")
			}
			<-ctx.Done()
			return nil
		})
		if err := r.Run(root); err != nil {
			t.Error(err)
		}
	})
}

func TestTheEndHasAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, stop := context.WithCancel(t.Context())
		r := start(root, t, Settings{DrainDelay: 2 * time.Second}, nil)
		if err := r.ready(nil); err == nil {
			t.Error("ready before it runs")
		}
		var asked time.Time
		add(t, r, func(ctx context.Context) error {
			time.Sleep(time.Minute)
			if err := r.ready(nil); err != nil {
				t.Errorf("not ready while it runs: %v", err)
			}
			asked = time.Now()
			stop()
			<-r.Stopping().Done()
			if after := time.Since(asked); after != 0 || !errors.Is(context.Cause(r.Stopping()), cause.Shutdown) {
				t.Errorf("stopping after %s with cause %v", after, context.Cause(r.Stopping()))
			}
			if err := r.ready(nil); !errors.Is(err, cause.Shutdown) {
				t.Errorf("readiness while stopping: %v", err)
			}
			<-ctx.Done()
			if after := time.Since(asked); after != 2*time.Second {
				t.Errorf("runnable ended after %s, want the drain delay", after)
			}
			// What a pass does that has been cut short by the shutdown.
			status, release, err := r.Budget().BeginStatus(ctx)
			if err != nil {
				t.Errorf("no status during the shutdown: %v", err)
				return nil
			}
			defer release()
			time.Sleep(time.Second)
			if status.Err() != nil {
				t.Errorf("status cut off during the shutdown: %v", context.Cause(status))
			}
			return nil
		})
		if err := r.Run(root); err != nil {
			t.Error(err)
		}
		if took := time.Since(asked); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("Run returned after %s", took)
		}
	})
}

func TestRunReturnsInTimeWhateverHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, stop := context.WithCancel(t.Context())
		over := make(chan struct{})
		defer func() { close(over); synctest.Wait() }()
		r := start(root, t, Settings{DrainDelay: time.Second}, nil)
		work := make(chan context.Context, 1)
		add(t, r, func(ctx context.Context) error {
			work <- ctx
			stop()
			<-over // deaf to the end of its context
			return nil
		})
		begin := time.Now()
		err := r.Run(root)
		if took := time.Since(begin); took > r.Settings().ShutdownTimeout {
			t.Errorf("took %s of %s", took, r.Settings().ShutdownTimeout)
		}
		if err == nil {
			t.Error("no error although something was left behind")
		}
		if _, _, err := r.Budget().BeginStatus(<-work); !errors.Is(err, cause.ShutdownEnded) {
			t.Errorf("what was left behind may write: %v", err)
		}
	})
}

// Nothing in controller-runtime bounds the return of a lease.
func TestRunReturnsInTimeEvenIfTheManagerDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, stop := context.WithCancel(t.Context())
		r := start(root, t, Settings{}, nil)
		over := make(chan struct{})
		r.Manager = deaf{r.Manager, over}
		time.AfterFunc(time.Minute, stop)
		begin := time.Now()
		err := r.Run(root)
		if took := time.Since(begin); took != time.Minute+r.Settings().ShutdownTimeout {
			t.Errorf("took %s", took)
		}
		if !errors.Is(err, cause.ShutdownEnded) {
			t.Errorf("error %v", err)
		}
		close(over)
	})
}

type deaf struct {
	ctrl.Manager
	over <-chan struct{}
}

func (d deaf) Start(context.Context) error { <-d.over; return nil }

func TestAPartThatFailsEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t.Context(), t, Settings{}, nil)
		failure := errors.New("boom")
		add(t, r, func(context.Context) error { return failure })
		if err := r.Run(t.Context()); !errors.Is(err, failure) {
			t.Errorf("error %v", err)
		}
		if got := context.Cause(r.Stopping()); !errors.Is(got, cause.Shutdown) {
			t.Errorf("stopping with cause %v", got)
		}
	})
}

// Their contexts end without a cause, so those who want to know it must be told
// before.
func TestEverybodyIsToldBeforeTheyAreStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, stop := context.WithCancel(t.Context())
		r := start(root, t, Settings{}, nil)
		var told []error
		add(t, r, func(ctx context.Context) error {
			r.OnStop(func(reason error) {
				if ctx.Err() != nil {
					t.Error("told too late")
				}
				told = append(told, reason)
			})
			stop()
			<-ctx.Done()
			r.OnStop(func(reason error) { told = append(told, reason) })
			return nil
		})
		if err := r.Run(root); err != nil {
			t.Error(err)
		}
		if len(told) != 2 || told[0] != cause.Shutdown || told[1] != cause.Shutdown {
			t.Errorf("told %v", told)
		}
	})
}

func TestStartIsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, stop := context.WithCancel(t.Context())
		r := start(root, t, Settings{}, nil)
		stop()
		if err := manager.Manager(r).Start(root); err != nil {
			t.Error(err)
		}
		if !errors.Is(context.Cause(r.Stopping()), cause.Shutdown) {
			t.Error("Start is the embedded manager's own")
		}
	})
}

func TestNewRefuses(t *testing.T) {
	_, err := New(t.Context(), &rest.Config{}, Options{Scheme: runtime.NewScheme(), Settings: Settings{ReconcileTimeout: -1}})
	if err == nil || !strings.Contains(err.Error(), "settings: --reconcile-timeout") {
		t.Errorf("error %v", err)
	}
	if _, err = New(t.Context(), nil, Options{Scheme: runtime.NewScheme()}); err == nil || !strings.Contains(err.Error(), "manager: ") {
		t.Errorf("error %v", err)
	}
}

func TestControllersHaveABackstop(t *testing.T) {
	r := start(t.Context(), t, Settings{ReconcileTimeout: time.Minute}, nil)
	if got := r.GetControllerOptions().ReconciliationTimeout; got != time.Minute {
		t.Errorf("ReconciliationTimeout %s", got)
	}
	if got, want := r.Budget(), (budget.Reconcile{Total: time.Minute, Reserve: 5 * time.Second}); got != want {
		t.Errorf("budget %+v", got)
	}
}
