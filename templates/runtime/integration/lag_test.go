//go:build integration

package integration_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/lag"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

var widgetResource = widgets.GroupResource()

// delayed returns a proxy in front of the API server, which ends with the test.
func delayed(t testing.TB) *lag.Proxy {
	t.Helper()
	p, err := lag.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// versions collects the resource versions that an informer tells of.
type versions struct {
	mu  sync.Mutex
	all []string
}

func (v *versions) add(obj any) {
	if o, ok := obj.(client.Object); ok {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.all = append(v.all, o.GetResourceVersion())
	}
}

func (v *versions) are(want []string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Equal(v.all, want)
}

// A held informer knows nothing, a released one everything in its order, and one
// whose watch is cut goes on where it was; in JSON and in Protobuf.
func TestInformersBehindALagProxy(t *testing.T) {
	for name, test := range map[string]struct {
		resource schema.GroupResource
		make     func(metav1.ObjectMeta) client.Object
	}{
		"JSON":     {widgetResource, func(m metav1.ObjectMeta) client.Object { return &widget{ObjectMeta: m} }},
		"Protobuf": {schema.GroupResource{Resource: "secrets"}, func(m metav1.ObjectMeta) client.Object { return &corev1.Secret{ObjectMeta: m} }},
	} {
		t.Run(name, func(t *testing.T) {
			p, c := delayed(t), direct(t)
			namespace := "lag-" + test.resource.Resource
			createNamespace(t, c, namespace)
			obj := test.make(metav1.ObjectMeta{Namespace: namespace, Name: "o"})
			key := client.ObjectKeyFromObject(obj)
			late, err := cache.New(p.Config(), cache.Options{Scheme: runtimetest.Scheme(), DefaultNamespaces: map[string]cache.Config{namespace: {}}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- late.Start(ctx) }()
			t.Cleanup(func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
			informer, err := late.GetInformer(ctx, test.make(metav1.ObjectMeta{}))
			if err != nil {
				t.Fatal(err)
			}
			var seen versions
			if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
				AddFunc: seen.add, UpdateFunc: func(_, now any) { seen.add(now) },
			}); err != nil {
				t.Fatal(err)
			}

			var stored []string
			change := func() {
				t.Helper()
				obj.SetLabels(map[string]string{"version": "after-" + obj.GetResourceVersion()})
				if err := c.Update(t.Context(), obj); err != nil {
					t.Fatal(err)
				}
				stored = append(stored, obj.GetResourceVersion())
			}
			release := p.Hold(test.resource)
			if err := c.Create(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
			stored = append(stored, obj.GetResourceVersion())
			change()
			current, err := client.New(p.Config(), client.Options{Scheme: runtimetest.Scheme()})
			if err != nil {
				t.Fatal(err)
			}
			live := test.make(metav1.ObjectMeta{})
			if err := current.Get(t.Context(), key, live); err != nil || live.GetResourceVersion() != stored[1] {
				t.Errorf("a read of what is held: version %s, %v, want %s", live.GetResourceVersion(), err, stored[1])
			}
			if err := late.Get(t.Context(), key, live); !apierrors.IsNotFound(err) {
				t.Errorf("a held informer knows the object: %v", err)
			}
			release()
			eventually(t, "what was held comes in its order", func() bool { return seen.are(stored) })

			asked := func(verb string) int { return p.Requests()[lag.Request{Verb: verb, Resource: test.resource}] }
			lists, watches := asked("list"), asked("watch")
			release = p.Hold(test.resource)
			change()
			p.Cut(test.resource)
			eventually(t, "another watch", func() bool { return asked("watch") > watches })
			change()
			release()
			eventually(t, "a cut watch goes on where it was", func() bool { return seen.are(stored) })
			if asked("list") != lists {
				t.Errorf("%d lists after a cut, %d before", asked("list"), lists)
			}
		})
	}
}
