package manager

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

var elected = Settings{LeaderElection: true, LeaderElectionID: "test", Leader: leader.Settings{Namespace: "default"}}

// added records what controller-runtime's manager is given.
type added struct {
	ctrl.Manager
	last manager.Runnable
}

func (a *added) Add(r manager.Runnable) error { a.last = r; return nil }

func TestWhatNeedsElectionRunsOncePerTerm(t *testing.T) {
	cfg := &rest.Config{Host: "http://127.0.0.1:1"}
	other, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	always := &manager.Server{}
	plain := manager.RunnableFunc(func(context.Context) error { return nil })
	tests := map[string]struct {
		runnable manager.Runnable
		perTerm  bool
	}{
		"a function":         {plain, true},
		"a cluster":          {other, false},
		"a server":           {always, false},
		"an unneeding thing": {started(func() {}), false},
	}
	for name, test := range tests {
		for _, settings := range []Settings{{}, elected} {
			r := start(t.Context(), t, settings, nil)
			below := &added{Manager: r.Manager}
			r.Manager = below
			if err := r.Add(test.runnable); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			needing, ok := below.last.(manager.LeaderElectionRunnable)
			alone := ok && !needing.NeedLeaderElection()
			if settings.LeaderElection && test.perTerm && !alone {
				t.Errorf("%s would be started once, by controller-runtime", name)
			}
		}
	}
	if r := start(t.Context(), t, elected, nil); r.Add(plain) != nil || r.Election() == nil {
		t.Error("no election")
	}
}

func TestWhatCannotBeStartedAgainIsRefused(t *testing.T) {
	r := start(t.Context(), t, elected, nil)
	if err := r.Add(&manager.Server{OnlyServeWhenLeader: true}); err == nil || !strings.Contains(err.Error(), "Election().HTTP") {
		t.Errorf("server: %v", err)
	}
	options := ctrlcontroller.Options{
		SkipNameValidation: new(true),
		Reconciler:         reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) { return reconcile.Result{}, nil }),
	}
	if _, err := ctrlcontroller.New("any", r, options); err != nil {
		t.Errorf("controller: %v", err)
	}
	options.NeedLeaderElection = new(true)
	if _, err := ctrlcontroller.New("any", r, options); err == nil || !strings.Contains(err.Error(), "NeedLeaderElection") {
		t.Errorf("controller that needs election: %v", err)
	}
}

func TestControllersRunInBothModes(t *testing.T) {
	if need := start(t.Context(), t, elected, nil).GetControllerOptions().NeedLeaderElection; need == nil || *need {
		t.Error("controllers wait for controller-runtime's election")
	}
	if need := start(t.Context(), t, Settings{}, nil).GetControllerOptions().NeedLeaderElection; need != nil {
		t.Error("changed without leader election")
	}
}

// sent stands for an API server that takes everything.
type sent struct{}

func (sent) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestClientsAreFencedOnlyWithElection(t *testing.T) {
	for _, test := range []struct {
		settings Settings
		refused  bool
	}{{Settings{}, false}, {elected, true}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "https://api.example/api/v1/namespaces/a/pods/b", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := start(t.Context(), t, test.settings, nil).GetConfig().WrapTransport(sent{}).RoundTrip(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		if _, refused := errors.AsType[*fence.RefusedError](err); refused != test.refused {
			t.Errorf("with leader election %t a write ends with %v", test.settings.LeaderElection, err)
		}
	}
}

func TestControllerRuntimesElectionIsRefused(t *testing.T) {
	_, err := New(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, Options{
		Scheme: runtimetest.Scheme(), Configure: func(o *ctrl.Options) { o.LeaderElection = true },
	})
	if err == nil || !strings.Contains(err.Error(), "Settings.LeaderElection") {
		t.Errorf("error %v", err)
	}
}

func TestElectedAtOnceWithoutElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, stop := context.WithCancel(t.Context())
		r := start(root, t, Settings{}, nil)
		add(t, r, func(ctx context.Context) error {
			<-r.Elected()
			stop()
			<-ctx.Done()
			return nil
		})
		if err := r.Run(root); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-start(t.Context(), t, elected, nil).Elected():
		t.Error("elected without a competition")
	default:
	}
}

func TestReadinessNamesTheMode(t *testing.T) {
	ask := func(r *Runtime, url string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		http.StripPrefix("/readyz", &r.readyz).ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
		return w
	}
	for name, test := range map[string]struct {
		settings Settings
		mode     string
	}{
		"with election":    {elected, "[+]observing ok"},
		"without election": {Settings{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t.Context(), t, test.settings, nil)
			if w := ask(r, "/readyz"); w.Code == http.StatusOK {
				t.Error("ready before it runs")
			}
			close(r.startup.done)
			if w := ask(r, "/readyz"); w.Code != http.StatusOK {
				t.Errorf("not ready: %s", w.Body)
			}
			body := ask(r, "/readyz?verbose").Body.String()
			if !strings.Contains(body, "[+]runtime ok") || !strings.Contains(body, test.mode) || test.mode == "" && strings.Contains(body, "observing") {
				t.Errorf("verbose:\n%s", body)
			}
			if w := ask(r, "/readyz/runtime"); w.Code != http.StatusOK {
				t.Errorf("check by name: %d", w.Code)
			}
		})
	}
}

func TestProbesHaveTheirPaths(t *testing.T) {
	r := start(t.Context(), t, Settings{}, nil)
	close(r.startup.done)
	if err := r.AddHealthzCheck("mine", func(*http.Request) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/alive": 200, "/alive/ping": 200, "/alive/mine": 200, "/healthz": 404,
		"/readyz": 200, "/readyz/runtime": 200, "/readyz/mine": 404,
	} {
		w := httptest.NewRecorder()
		r.probes(ctrl.Options{LivenessEndpointName: "/alive"}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestAnAddressThatCannotBeServedIsAnError(t *testing.T) {
	_, err := New(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, Options{
		Scheme: runtimetest.Scheme(), Settings: Settings{MetricsBindAddress: "0", ProbeBindAddress: "256.0.0.1:1"},
	})
	if err == nil || !strings.Contains(err.Error(), "health probes") {
		t.Errorf("error %v", err)
	}
}
