//go:build integration

package quota_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

var races = flag.Int("races", 6, "how many tenants race for their quota, one after the other")

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
		all.Go(func() {
			err := c.clients[i%len(c.clients)].Create(t.Context(), widget(c.namespace, "many-"))
			if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsConflict(err) {
				t.Error(err)
			}
		})
	}
	all.Wait()
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

// TestNotOneOver races for the quotas of many tenants on a busy machine: while a quota comes,
// when it is in force, and while it is raised or lowered.
func TestNotOneOver(t *testing.T) {
	const most = 20
	load(t)
	start(t, plane.Config, manager.Settings{})
	c := gather(t)
	for i := range *races {
		c.namespace = fmt.Sprintf("race-%d", i)
		plane.MakeNamespace(t, c.namespace, "tenant=yes")
		var early sync.WaitGroup
		early.Go(func() { c.rush(t, most/2) })
		q := bound(t, c.namespace, objects(most))
		says(t, q, reconciler.ConditionReady, "True Reconciled: ")
		early.Wait()
		c.rush(t, most/4)
		other := most + []int{5, -5}[i%2]
		var late sync.WaitGroup
		late.Go(func() { c.rush(t, 3*most) })
		plane.Patch(t, q, map[string]any{"spec": objects(int64(other))})
		says(t, q, reconciler.ConditionReady, "True Reconciled: ")
		late.Wait()
		before := c.has(t)
		if before > max(most, other) {
			t.Errorf("%s: %d of %d", c.namespace, before, max(most, other))
		}
		c.fill(t, other)
		if got := c.has(t); got != max(before, other) {
			t.Errorf("%s: %d, where there were %d and may be %d", c.namespace, got, before, other)
		}
		for _, err := range []error{
			c.clients[0].Delete(t.Context(), q),
			c.clients[0].DeleteAllOf(t.Context(), &runtimetest.Widget{}, client.InNamespace(c.namespace)),
			c.clients[0].Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
