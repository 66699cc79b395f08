//go:build integration

package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

type widget = runtimetest.Widget

// config connects to the API server of this test run; kubeconfig is the same for
// other processes.
var (
	config     *rest.Config
	kubeconfig []byte
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	if name := os.Getenv(asOperator); name != "" {
		os.Exit(operate(name))
	}
	server := &envtest.Environment{CRDDirectoryPaths: []string{"testdata"}, ErrorIfCRDPathMissing: true}
	var err error
	if config, err = server.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start the API server:", err)
		os.Exit(1)
	}
	kubeconfig = server.KubeConfig
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the API server:", err)
		code = 1
	}
	os.Exit(code)
}

// direct returns a client without a cache.
func direct(t testing.TB) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var names atomic.Int64

// create stores w under a new name, in a namespace of its own kind of test.
func create(t testing.TB, w *widget) *widget {
	t.Helper()
	w.Namespace, w.Name = "default", fmt.Sprintf("w%d", names.Add(1))
	if err := direct(t).Create(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		c := direct(t)
		_ = c.Patch(ctx, w, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))
		_ = c.Delete(ctx, w)
	})
	return w
}

func get(t testing.TB, w *widget) *widget {
	t.Helper()
	stored := &widget{}
	if err := direct(t).Get(t.Context(), client.ObjectKeyFromObject(w), stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

func ready(w *widget) metav1.Condition {
	if c := apimeta.FindStatusCondition(w.Status.Conditions, reconciler.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// eventually waits until what holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	within(t, 20*time.Second, what, holds)
}

// within waits for what holds, for so long.
func within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %s", what, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func kind() reconciler.Kind[*widget] {
	return reconciler.Kind[*widget]{
		Name:                  "widget",
		New:                   func() *widget { return &widget{} },
		Status:                func(w *widget) any { return &w.Status },
		StatusSubresource:     true,
		Conditions:            func(w *widget) *[]metav1.Condition { return &w.Status.Conditions },
		SetObservedGeneration: func(w *widget, g int64) { w.Status.ObservedGeneration = g },
		Finalizer:             runtimetest.Finalizer,
	}
}

// user is a user's reconciler without optional abilities.
type user func(context.Context, *widget) error

func (u user) ReconcileKind(ctx context.Context, w *widget) error { return u(ctx, w) }

// operator is a running operator.
type operator struct {
	runtime *manager.Runtime
	stop    context.CancelFunc
	done    chan error

	mu  sync.Mutex
	log []string // lines of JSON
}

// rootKey is the key of a value in the root context.
type rootKey struct{}

func (o *operator) write(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = append(o.log, line)
}

// logged returns the values of the first line with that message, nil if there is
// none.
func (o *operator) logged(message string) map[string]any {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, line := range o.log {
		var values map[string]any
		if json.Unmarshal([]byte(line), &values) == nil && values["msg"] == message {
			return values
		}
	}
	return nil
}

// wrap is the emitted chain.
func wrap(rt *manager.Runtime, loop *reconciler.Loop[*widget], outer ...chain.Link) chain.Func {
	return chain.Wrap(loop.Reconcile, append(outer, rt.Election().Gate(loop.Observe), loop.Budget)...)
}

// run starts an operator of widgets that ends with the test.
func run(t *testing.T, cfg *rest.Config, settings manager.Settings, u reconciler.Interface[*widget], links ...chain.Link) *operator {
	t.Helper()
	return runWith(t, cfg, settings, func(rt *manager.Runtime) error {
		loop, err := reconciler.New(rt, kind(), u)
		if err != nil {
			return err
		}
		return loop.Register(rt, wrap(rt, loop, links...), rt.Gains(&runtimetest.WidgetList{}))
	})
}

// runWith is run with all of the registration given.
func runWith(t testing.TB, cfg *rest.Config, settings manager.Settings, setup func(*manager.Runtime) error) *operator {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithValue(t.Context(), rootKey{}, "root"))
	o := &operator{stop: stop, done: make(chan error, 1)}
	settings.MetricsBindAddress, settings.ProbeBindAddress = "0", "0"
	rt, err := manager.New(ctx, cfg, manager.Options{
		Scheme: runtimetest.Scheme(), Settings: settings,
		Configure: func(options *ctrl.Options) {
			options.Controller.SkipNameValidation = new(true)
			options.Logger = funcr.NewJSON(o.write, funcr.Options{})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := setup(rt); err != nil {
		t.Fatal(err)
	}
	o.runtime = rt
	go func() { o.done <- rt.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-o.done:
			if err != nil {
				t.Errorf("operator ended with: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("operator does not end")
		}
	})
	return o
}

// end stops the operator and returns what Run returned and how long it took.
func (o *operator) end() (time.Duration, error) {
	begin := time.Now()
	o.stop()
	err := <-o.done
	o.done <- nil // for the cleanup
	return time.Since(begin), err
}

// limitTo makes a manager quiet and lets it see one namespace only.
func limitTo(namespace string, o *ctrl.Options) {
	o.Controller.SkipNameValidation = new(true)
	o.Metrics.BindAddress, o.HealthProbeBindAddress = "0", "0"
	o.Cache.DefaultNamespaces = map[string]cache.Config{namespace: {}}
}

func createNamespace(t testing.TB, c client.Client, name string) {
	t.Helper()
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
}
