//go:build integration

package quota_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

var races = flag.Int("races", 16, "how many tenants race for their quota, no more than atOnce at a time")

// atOnce is enough to keep two processors busy, and few enough that each tenant moves on.
const atOnce = 24

// load keeps every processor busy until the test ends.
func load(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		busy.Go(func() {
			for ctx.Err() == nil {
			}
		})
	}
	t.Cleanup(func() {
		stop()
		busy.Wait()
	})
}

// crowd is what creates widgets in a namespace over connections of their own.
type crowd struct {
	namespace string
	clients   []client.Client
}

func gather(t *testing.T) crowd {
	t.Helper()
	c := crowd{clients: make([]client.Client, 4)}
	for i := range c.clients {
		cfg := rest.CopyConfig(plane.Config)
		cfg.UserAgent = fmt.Sprintf("creator-%d", i)
		made, err := client.New(cfg, client.Options{Scheme: cluster.Scheme()})
		if err != nil {
			t.Fatal(err)
		}
		c.clients[i] = made
	}
	return c
}

// rush has so many widgets created at the same time. Some may be refused.
func (c crowd) rush(t *testing.T, count int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() { c.create(t, i) })
	}
	all.Wait()
}

// create reports whether a widget was created. It may be refused.
func (c crowd) create(t *testing.T, i int) bool {
	t.Helper()
	err := c.clients[i%len(c.clients)].Create(t.Context(), widget(c.namespace, "many-"))
	if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsConflict(err) {
		t.Error(err)
	}
	return err == nil
}

// press creates widgets, one after the other over each connection, for as long as something
// goes on, which it waits for, but no more than so many.
func (c crowd) press(t *testing.T, most int, goesOn func()) {
	t.Helper()
	var created atomic.Int64
	var over atomic.Bool
	var all sync.WaitGroup
	for i := range c.clients {
		all.Go(func() {
			for !over.Load() && !t.Failed() {
				if created.Add(1) > int64(most) {
					return
				}
				if !c.create(t, i) {
					created.Add(-1)
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	defer all.Wait()
	defer over.Store(true)
	goesOn()
}

// fill creates widgets one by one until there are as many as there may be.
func (c crowd) fill(t *testing.T, most int) {
	t.Helper()
	limit := fmt.Sprintf("limited: count/%s=%d", widgets, most)
	cluster.Eventually(t, "the limit of "+c.namespace, func() string {
		err := c.clients[0].Create(t.Context(), widget(c.namespace, "one-"))
		if err == nil || !strings.Contains(err.Error(), limit) {
			return fmt.Sprint(err)
		}
		return ""
	})
}

// has is how many widgets there are.
func (c crowd) has(t *testing.T) int {
	t.Helper()
	list := &runtimetest.WidgetList{}
	if err := c.clients[0].List(t.Context(), list, client.InNamespace(c.namespace)); err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

// TestNotOneOver races for the quotas of many tenants at once on a busy machine: while a
// quota comes, when it is in force, and while it is raised or lowered.
func TestNotOneOver(t *testing.T) {
	load(t)
	o := start(t, plane.Config, manager.Settings{})
	c := gather(t)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(*races, atOnce) {
		all.Go(func() {
			for i := next.Add(1); i <= int64(*races); i = next.Add(1) {
				c := crowd{fmt.Sprintf("race-%d", i), c.clients}
				t.Run(c.namespace, func(t *testing.T) { c.race(t, o, []int{5, -5}[i%2]) })
			}
		})
	}
	all.Wait()
}

// enforces waits until an operator says that a quota is in force, for as long as the test may
// run: under this load the quota controller has been seen to stand still for half a minute.
// The operator is asked in its cache, so that many tenants do not ask the API server.
func (o *operator) enforces(t *testing.T, q *quota.TenantQuota) {
	t.Helper()
	for {
		read := &quota.TenantQuota{}
		err := o.runtime.GetClient().Get(t.Context(), client.ObjectKeyFromObject(q), read) // fails before the cache has it
		ready := apimeta.FindStatusCondition(read.Status.Conditions, reconciler.ConditionReady)
		if err == nil && ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == q.Generation {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// race gives a tenant a quota, uses it and changes it by so many.
func (c crowd) race(t *testing.T, o *operator, change int) {
	const most = 40
	plane.MakeNamespace(t, c.namespace, "tenant=yes")
	var q *quota.TenantQuota
	c.press(t, most/2, func() {
		q = bound(t, c.namespace, objects(most))
		o.enforces(t, q)
	})
	c.rush(t, most/4)
	c.press(t, 3*most, func() {
		plane.Patch(t, q, map[string]any{"spec": objects(int64(most + change))})
		o.enforces(t, q)
	})
	before := c.has(t)
	if before > max(most, most+change) {
		t.Errorf("%d of %d", before, max(most, most+change))
	}
	c.fill(t, most+change)
	if got := c.has(t); got != max(before, most+change) {
		t.Errorf("%d, where there were %d and may be %d", got, before, most+change)
	}
	for _, err := range []error{
		c.clients[0].Delete(t.Context(), q),
		c.clients[0].DeleteAllOf(t.Context(), &runtimetest.Widget{}, client.InNamespace(c.namespace)),
		c.clients[0].Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}
