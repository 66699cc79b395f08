package freshness

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

type widget = runtimetest.Widget

var (
	gvk      = runtimetest.GroupVersion.WithKind("Widget")
	resource = schema.GroupResource{Group: gvk.Group, Resource: "widgets"}
	key      = types.NamespacedName{Namespace: "default", Name: "w"}
)

// world is an API server with widgets, and a cache of them that sees what happens only
// when it is told to.
type world struct {
	client.Client // what is not used panics

	mu      sync.Mutex
	version int
	stored  map[types.NamespacedName]*widget
	shown   map[types.NamespacedName]*widget
	seen    int   // the version as of which the cache shows what is stored
	asked   int   // live reads
	outage  error // of live reads
	answer  error // of writes, in the place of success
}

func newWorld(t testing.TB) (*world, *Client, *Reader) {
	t.Helper()
	w := &world{stored: map[types.NamespacedName]*widget{}, shown: map[types.NamespacedName]*widget{}}
	w.put(&widget{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "uid-1"}})
	w.see()
	k := &Keep{}
	r := &Reader{Keep: k, Cached: w, Live: liveWorld{w}, Kinds: w}
	r.note(gvk, inType)
	return w, NewClient(w, k), r
}

// put stores an object under the next version.
func (w *world) put(obj *widget) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version++
	obj.ResourceVersion = strconv.Itoa(w.version)
	w.stored[client.ObjectKeyFromObject(obj)] = obj.DeepCopy()
}

// remove removes an object that is stored.
func (w *world) remove(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version++
	delete(w.stored, key)
}

// see has the cache catch up.
func (w *world) see() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.shown)
	w.seen = w.version
	for key, obj := range w.stored {
		w.shown[key] = obj
	}
}

func (w *world) lives() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

func (w *world) GroupVersionKindFor(obj runtime.Object) (schema.GroupVersionKind, error) {
	return apiutil.GVKForObject(obj, runtimetest.Scheme())
}

func (w *world) Create(ctx context.Context, obj client.Object, _ ...client.CreateOption) error {
	return w.Update(ctx, obj)
}

func (w *world) Update(_ context.Context, obj client.Object, o ...client.UpdateOption) error {
	if len((&client.UpdateOptions{}).ApplyOptions(o).DryRun) > 0 {
		return nil
	}
	if w.answer == nil || open(w.answer) {
		w.put(obj.(*widget))
	}
	return w.answer
}

func (w *world) Delete(_ context.Context, obj client.Object, _ ...client.DeleteOption) error {
	w.remove(client.ObjectKeyFromObject(obj))
	return w.answer
}

func (w *world) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return copyOf(w.shown, key, obj)
}

func (w *world) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return items(w.shown, w.version, list, opts)
}

// liveWorld reads what is stored.
type liveWorld struct{ *world }

func (w liveWorld) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked++; w.outage != nil {
		return w.outage
	}
	return copyOf(w.stored, key, obj)
}

func (w liveWorld) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked++; w.outage != nil {
		return w.outage
	}
	return items(w.stored, w.version, list, opts)
}

func copyOf(from map[types.NamespacedName]*widget, key client.ObjectKey, obj client.Object) error {
	found, ok := from[key]
	if !ok {
		return apierrors.NewNotFound(resource, key.Name)
	}
	switch obj := obj.(type) {
	case *widget:
		found.DeepCopyInto(obj)
	case *metav1.PartialObjectMetadata:
		obj.ObjectMeta = *found.ObjectMeta.DeepCopy()
	default:
		return errors.New("a representation that is not tested")
	}
	return nil
}

func items(of map[types.NamespacedName]*widget, version int, list client.ObjectList, opts []client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	list.SetResourceVersion(strconv.Itoa(version))
	for key, obj := range of {
		if o.Namespace != "" && key.Namespace != o.Namespace {
			continue
		}
		switch list := list.(type) {
		case *runtimetest.WidgetList:
			list.Items = append(list.Items, *obj)
		case *metav1.PartialObjectMetadataList:
			list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: obj.ObjectMeta})
		}
	}
	return nil
}
