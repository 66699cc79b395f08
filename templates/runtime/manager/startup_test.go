package manager

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// slow is a controller whose sources sync when they are told to, or fail.
type slow struct {
	synced chan error
	warm   bool
	run    func()
}

func (s *slow) Warmup(ctx context.Context) error {
	select {
	case err := <-s.synced:
		s.warm = true
		return err
	case <-ctx.Done():
		return nil // as controller-runtime's
	}
}

func (s *slow) Start(ctx context.Context) error {
	if s.run != nil {
		s.run()
	}
	<-ctx.Done()
	return nil
}

func (*slow) NeedLeaderElection() bool { return false }

// The runnable of the manager starts long before the informers of controllers exist.
func TestReadyWhenTheSourcesOfAllControllersHaveSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, stop := context.WithCancel(t.Context())
		r := start(root, t, Settings{}, nil)
		controllers := []*slow{{synced: make(chan error)}, {synced: make(chan error)}}
		for _, c := range controllers {
			c.run = func() {
				if !c.warm {
					t.Error("works before its sources have synced")
				}
			}
			if err := r.Add(c); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error, 1)
		go func() { done <- r.Run(root) }()
		for _, c := range controllers {
			time.Sleep(time.Minute)
			if err := r.ready(nil); err == nil {
				t.Error("ready before all sources have synced")
			}
			c.synced <- nil
		}
		if synctest.Wait(); r.ready(nil) != nil {
			t.Errorf("not ready: %v", r.ready(nil))
		}
		// One more is no reason to turn callers away.
		late := &slow{synced: make(chan error)}
		if err := r.Add(late); err != nil || r.ready(nil) != nil {
			t.Errorf("not ready because of a controller that came later: %v, %v", err, r.ready(nil))
		}
		late.synced <- nil
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAProcessThatEndsBeforeItsCachesAreFilledHasNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, stop := context.WithCancel(t.Context())
		r := start(root, t, Settings{}, nil)
		if err := r.Add(&slow{synced: make(chan error)}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, stop)
		if err := r.Run(root); err != nil {
			t.Error(err)
		}
		if r.startup.over() {
			t.Error("it would compete for the lease while it ends")
		}
	})
}

func TestSourcesThatFailEndTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t.Context(), t, Settings{}, nil)
		failure := errors.New("no matches for kind")
		c := &slow{synced: make(chan error, 1)}
		c.synced <- failure
		if err := r.Add(c); err != nil {
			t.Fatal(err)
		}
		if err := r.Run(t.Context()); !errors.Is(err, failure) {
			t.Errorf("error %v", err)
		}
		if r.startup.over() {
			t.Error("started although sources failed")
		}
	})
}

// refusing is a manager that takes nothing.
type refusing struct{ ctrl.Manager }

func (refusing) Add(manager.Runnable) error { return errors.New("it ends") }

func TestAControllerThatIsNotTakenIsNotWaitedFor(t *testing.T) {
	r := start(t.Context(), t, Settings{}, nil)
	before := r.startup.parts
	r.Manager = refusing{r.Manager}
	if err := r.Add(&slow{}); err == nil {
		t.Error("no error")
	}
	if r.startup.parts != before {
		t.Errorf("%d are waited for, want %d", r.startup.parts, before)
	}
}

func TestControllersWarmUp(t *testing.T) {
	if warm := start(t.Context(), t, Settings{}, nil).GetControllerOptions().EnableWarmup; warm == nil || !*warm {
		t.Error("the Warmup of a controller does nothing")
	}
}

// informers is a cache whose informers sync, or are got, as they are told.
type informers struct {
	cache.Cache
	err    error
	synced bool
}

type informer struct {
	cache.Informer
	cache *informers
}

func (i informer) HasSynced() bool { return i.cache.synced }

func (c *informers) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	if c.err != nil {
		return nil, c.err
	}
	return informer{cache: c}, nil
}

func TestReadinessNamesTheInformersItWaitsFor(t *testing.T) {
	below := &informers{err: errors.New("no matches for kind")}
	webhooks := admission.Settings{BindAddress: "127.0.0.1:0", CertDir: t.TempDir(), SelfSigned: "127.0.0.1"}
	r := start(t.Context(), t, Settings{Webhook: webhooks}, func(o *ctrl.Options) {
		o.NewCache = func(*rest.Config, cache.Options) (cache.Cache, error) { return below, nil }
	})
	says := func(want string) {
		t.Helper()
		if err := r.ready(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("readiness: %v, want %q", err, want)
		}
	}
	says("caches are not filled yet")
	_, err := r.GetCache().GetInformer(t.Context(), &runtimetest.Widget{})
	if err != below.err {
		t.Errorf("error %v", err)
	}
	const kind = "Widget.test.ctxscaffold.dev"
	says(kind + ": no matches for kind")
	below.err = nil
	if _, err := r.GetCache().GetInformer(t.Context(), &runtimetest.Widget{}); err != nil {
		t.Error(err)
	}
	says(kind)
	if _, waits := r.moment()["informer "+kind]; !waits {
		t.Errorf("the probe has %v", r.moment())
	}
	below.synced = true
	if now := r.moment(); len(now) > 0 {
		t.Errorf("the probe has %v although all have synced", now)
	}
	below.synced = false
	r.GetWebhookServer().Register(admission.ConversionPath, http.NotFoundHandler())
	if now := r.moment(); len(now) > 0 {
		t.Errorf("the probe of a process that converts has %v", now)
	}
}

func TestInformersOfAStartedProcessAreNotNoted(t *testing.T) {
	below := &informers{}
	r := start(t.Context(), t, Settings{}, func(o *ctrl.Options) {
		o.NewCache = func(*rest.Config, cache.Options) (cache.Cache, error) { return below, nil }
	})
	close(r.startup.done)
	if _, err := r.GetCache().GetInformer(t.Context(), &runtimetest.Widget{}); err != nil {
		t.Error(err)
	}
	if len(r.startup.informers) > 0 {
		t.Errorf("%v are kept", r.startup.informers)
	}
}

func TestACacheThatCannotBeMadeIsNotNamed(t *testing.T) {
	failure := errors.New("boom")
	_, err := newStartup().naming(func(*rest.Config, cache.Options) (cache.Cache, error) { return nil, failure })(nil, cache.Options{})
	if !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
}
