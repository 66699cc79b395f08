//go:build integration

package quota_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// operator is a running operator that notes what it works on.
type operator struct {
	runtime   *manager.Runtime
	tenants   *tenant.Set
	sandboxes *tenant.Sandboxes

	mu     sync.Mutex
	worked map[string]int // passes by namespace
}

// ReconcileKind implements reconciler.Interface.
func (o *operator) ReconcileKind(_ context.Context, w *runtimetest.Widget) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.worked[w.Namespace]++
	return nil
}

// passes is how many there were in a namespace.
func (o *operator) passes(namespace string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.worked[namespace]
}

// start runs an operator until the test ends. Its tenants are the namespaces with the
// label tenant=yes.
func start(t *testing.T, cfg *rest.Config, settings manager.Settings) *operator {
	t.Helper()
	return startWith(t, cfg, settings, tenant.Settings{Selector: "tenant=yes"})
}

// startWith is start with the tenants given.
func startWith(t *testing.T, cfg *rest.Config, settings manager.Settings, which tenant.Settings) *operator {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	settings.MetricsBindAddress, settings.ProbeBindAddress = "0", "0"
	rt, err := manager.New(ctx, cfg, manager.Options{
		Scheme: cluster.Scheme(), Settings: settings,
		Configure: func(o *ctrl.Options) { o.Controller.SkipNameValidation = new(true) },
	})
	if err != nil {
		t.Fatal(err)
	}
	tenants, err := which.Follow(ctx, rt)
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{runtime: rt, tenants: tenants, worked: map[string]int{}}
	if err := o.setUp(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("operator ended with: %v", err)
		}
	})
	return o
}

// setUp does what the emitted SetupAll does.
func (o *operator) setUp() error {
	rt := o.runtime
	if err := quota.Setup(rt, o.tenants, cluster.Group); err != nil {
		return err
	}
	loop, err := reconciler.New(rt, reconciler.Kind[*runtimetest.Widget]{Name: "widget", New: func() *runtimetest.Widget { return &runtimetest.Widget{} }}, o)
	if err != nil {
		return err
	}
	o.sandboxes = o.tenants.Sandboxes(tenant.Kind{
		Name: "widget", Workers: 1,
		Cache: rt.GetClient(), Object: &runtimetest.Widget{}, List: &runtimetest.WidgetList{},
	})
	return loop.Register(rt, chain.Wrap(loop.Reconcile, o.sandboxes.Gate, rt.Election().Gate(loop.Observe), loop.Budget),
		rt.Gains(&runtimetest.WidgetList{}), o.sandboxes.Wakes())
}

func widget(namespace, name string) *runtimetest.Widget {
	return &runtimetest.Widget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: name}}
}

// asCreator, set in the environment to a namespace, turns this test binary into one of
// the processes that race for the quota there.
const asCreator = "CTXSCAFFOLD_TEST_CREATOR"

// each is how many widgets a process creates at once.
const each = 100

// tally is what became of them.
type tally struct {
	Created int
	Refused []string // messages of 403
	Other   []string // errors that are neither
}

// createMany is such a process. It prints a tally.
func createMany(ctx context.Context, namespace string) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	cfg.QPS = -1
	c, err := client.New(cfg, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		return err
	}
	var result tally
	var mu sync.Mutex
	var all sync.WaitGroup
	for range each {
		all.Go(func() {
			err := c.Create(ctx, widget(namespace, "many-"))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				result.Created++
			case apierrors.IsForbidden(err):
				result.Refused = append(result.Refused, err.Error())
			default:
				result.Other = append(result.Other, err.Error())
			}
		})
	}
	all.Wait()
	return json.NewEncoder(os.Stdout).Encode(result)
}

// race has two processes create widgets at the same time.
func race(t *testing.T, namespace string) tally {
	t.Helper()
	results := make([]tally, 2)
	var both sync.WaitGroup
	for i := range results {
		both.Go(func() {
			process := exec.Command(os.Args[0])
			process.Env = append(os.Environ(), asCreator+"="+namespace, "KUBECONFIG="+plane.Kubeconfig)
			process.Stderr = os.Stderr
			output, err := process.Output()
			if err != nil {
				t.Error(err)
				return
			}
			if err := json.Unmarshal(output, &results[i]); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	a, b := results[0], results[1]
	return tally{a.Created + b.Created, append(a.Refused, b.Refused...), append(a.Other, b.Other...)}
}

// electing are the settings of replicas of which one leads.
func electing(name string) manager.Settings {
	s := manager.Settings{LeaderElection: true, LeaderElectionID: name}
	s.Leader.Namespace, s.Leader.LeaseDuration, s.Leader.RetryPeriod = "default", 2*time.Second, 200*time.Millisecond
	return s
}
