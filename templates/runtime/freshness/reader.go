package freshness

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// Reader reads from a cache what is not older than a [Keep] allows.
type Reader struct {
	Keep *Keep
	// Cached is the cache. Its reads return copies.
	Cached client.Reader
	// Live reads from the API server.
	Live client.Reader
	// Kinds tells what a Go type is.
	Kinds Kinds

	// seen tells how far the cache is with objects of obj's kind and representation: it
	// has what is stored as of that version, which is 0 where it does not tell. It may be
	// nil.
	seen func(ctx context.Context, obj client.Object) uint64

	types sync.Map // of reflect.Type to its view
	views sync.Map // those the Keep knows to be read
}

// Kinds tells what objects are, as a client.Client does.
type Kinds interface {
	GroupVersionKindFor(obj runtime.Object) (schema.GroupVersionKind, error)
}

// Get implements client.Reader.
func (r *Reader) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	none := r.Keep.pending.Load() == 0
	if none && r.Keep.all {
		return r.Cached.Get(ctx, key, obj, opts...)
	}
	v, err := r.viewOf(obj)
	if err != nil {
		return err
	}
	if none {
		return r.Cached.Get(ctx, key, obj, opts...)
	}
	f, ok := r.Keep.floor(v, key)
	if !ok {
		return r.Cached.Get(ctx, key, obj, opts...)
	}
	if done, err := r.try(ctx, v, key, f, obj, opts); done {
		return err
	}
	ctx, call := observe.For(observe.Freshness, v.GroupKind().String()).Begin(ctx)
	err = r.catchUp(ctx, v, key, obj, opts, true)
	call.End(cause.Judged(client.IgnoreNotFound(err)))
	return err
}

// try reads from the cache. It reports whether what it found is new enough, or an
// error that has nothing to do with that.
func (r *Reader) try(ctx context.Context, v view, key client.ObjectKey, f floor, obj client.Object, opts []client.GetOption) (done bool, _ error) {
	err := r.Cached.Get(ctx, key, obj, opts...)
	believed := false // that what the cache lacks is not late
	if apierrors.IsNotFound(err) {
		believed = !f.held && r.Keep.scope.partial(v.GroupKind(), key.Namespace)
		if !believed && f.version > 0 && r.seen != nil && r.seen(ctx, obj) >= f.version {
			believed = true
			err = r.Cached.Get(ctx, key, obj, opts...) // it may have come in between
		}
	}
	found := obj
	switch {
	case apierrors.IsNotFound(err):
		found = nil
	case err != nil:
		return true, err
	}
	if !f.met(found) && (found != nil || f.unknown || !believed) {
		return false, nil
	}
	if found == nil && f.past > 0 && (r.seen == nil || r.seen(ctx, obj) < f.past) {
		return true, err // what is gone may still come, as it was
	}
	r.Keep.settle(v, key, f, floor{})
	return true, err
}

// lookPace spaces looks at the cache, askPace reads from the API server.
var (
	lookPace = budget.Backoff{Base: time.Millisecond, Max: 16 * time.Millisecond}
	askPace  = budget.Backoff{Base: Patience, Max: 2 * time.Second}
)

// catchUp waits until the cache is new enough, and asks the API server when that takes
// long, whose word is the answer if it is live that is read. Where the API server does not
// want to say, the cache may still get there, unless nobody knows how far that is.
func (r *Reader) catchUp(ctx context.Context, v view, key client.ObjectKey, obj client.Object, opts []client.GetOption, live bool) error {
	var last error
	ask := time.Now().Add(Patience)
	for attempt, asked := 1, 0; ; attempt++ {
		f, _ := r.Keep.floor(v, key) // which others may have changed
		if done, err := r.try(ctx, v, key, f, obj, opts); done {
			return err
		}
		if f.unknown && asked == 0 || !time.Now().Before(ask) {
			last = r.ask(ctx, v, key, f, obj)
			asked++
			ask = time.Now().Add(askPace.Delay(asked))
			switch answered := last == nil || apierrors.IsNotFound(last); {
			case answered && live:
				return last
			case answered:
				continue // the floor is another now
			case f.unknown && !budget.Retryable(last) && ctx.Err() == nil:
				return last
			}
		}
		if budget.Wait(ctx, lookPace.Delay(min(attempt, 5))) != nil {
			return late(ctx, v.GroupKind(), key, last)
		}
	}
}

// late is the error of a read whose time is over.
func late(ctx context.Context, kind schema.GroupKind, key client.ObjectKey, last error) error {
	switch c := cause.Of(ctx); {
	case c != nil && !c.Timeout():
		return c // a decision, which has nothing to do with the cache
	case c == nil && ctx.Err() == context.Canceled:
		return context.Cause(ctx) // one of somebody else
	}
	err := Late.With(fmt.Sprintf("%s %s", kind, key))
	if last != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return err
}

// ask reads from the API server, whose word replaces the floor. What the cache would
// not hold is not found, and what it would not keep of an object is not read.
func (r *Reader) ask(ctx context.Context, v view, key client.ObjectKey, f floor, obj client.Object) error {
	known := obj.GetUID() // of what the cache shows, or has been read into obj before; if any, it is gone where none is found
	gvk := obj.GetObjectKind().GroupVersionKind()
	reflect.ValueOf(obj).Elem().SetZero() // what is decoded would be merged into what is there
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	err := r.Live.Get(ctx, key, obj)
	switch {
	case err == nil:
		r.Keep.settle(v, key, f, floor{version: version(obj.GetResourceVersion()), held: r.Keep.scope.holds(v.GroupKind(), obj)})
		chosen, _ := r.Keep.scope.chooses(v.GroupKind(), key.Namespace)
		if !chosen.takes(obj) {
			return apierrors.NewNotFound(schema.GroupResource{Group: v.Group, Resource: v.Kind}, key.Name)
		}
		return chosen.cut(obj)
	case apierrors.IsNotFound(err):
		r.Keep.settle(v, key, f, floor{dead: cmp.Or(known, f.deleted, f.dead), past: max(f.version, f.past)})
	}
	return err
}

// List implements client.Reader. It waits until the cache has what was written of
// the kind, in the namespace that is listed.
func (r *Reader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	none := r.Keep.pending.Load() == 0
	if none && r.Keep.all {
		return r.Cached.List(ctx, list, opts...)
	}
	v, item, err := r.itemsOf(list)
	if err != nil {
		return err
	}
	if !none {
		var o client.ListOptions
		o.ApplyOptions(opts)
		if err := r.await(ctx, v, o.Namespace, item); err != nil {
			return err
		}
	}
	return r.Cached.List(ctx, list, opts...)
}

// await waits until the cache meets all floors there are in a view.
func (r *Reader) await(ctx context.Context, v view, namespace string, item func() (client.Object, error)) error {
	below := r.Keep.below(v, namespace)
	if len(below) == 0 {
		return nil
	}
	obj, err := item()
	if err != nil {
		return err
	}
	var call *observe.Call
	waits := func() {
		if call == nil {
			_, call = observe.For(observe.Freshness, v.GroupKind().String()).Begin(ctx)
		}
	}
	for _, key := range nameless(below) {
		waits()
		if err = r.find(ctx, v, key, obj); err != nil {
			call.End(cause.Judged(err))
			return err
		}
		below = r.Keep.below(v, namespace)
	}
	for key, f := range below {
		if key.Name == "" {
			continue // a doubt that came since
		}
		var done bool
		if done, err = r.try(ctx, v, key, f, obj, nil); !done {
			waits()
			err = r.catchUp(ctx, v, key, obj, nil, false)
		}
		if err = client.IgnoreNotFound(err); err != nil {
			break
		}
	}
	if call != nil {
		call.End(cause.Judged(err))
	}
	return err
}

// nameless are the namespaces in which something may have been made whose name nobody
// knows.
func nameless(below map[client.ObjectKey]floor) (in []client.ObjectKey) {
	for key := range below {
		if key.Name == "" {
			in = append(in, key)
		}
	}
	return in
}

// find asks the API server what there is in a namespace in which something may have been
// made whose name nobody knows, and notes what the cache does not show of it.
func (r *Reader) find(ctx context.Context, v view, key client.ObjectKey, obj client.Object) error {
	for attempt := 1; ; attempt++ {
		f, _ := r.Keep.floor(v, key) // before it is asked, so that a later doubt remains
		err := r.compare(ctx, v, key.Namespace, obj)
		if err == nil {
			r.Keep.settle(v, key, f, floor{})
			return nil
		}
		if !budget.Retryable(err) && !apierrors.IsResourceExpired(err) && ctx.Err() == nil {
			return fmt.Errorf("list %s: %w", v.Kind, err)
		}
		if budget.Wait(ctx, askPace.Delay(attempt)) != nil {
			return late(ctx, v.GroupKind(), key, err)
		}
	}
}

// compare lists the metadata of a namespace, of what the cache is to show.
func (r *Reader) compare(ctx context.Context, v view, namespace string, obj client.Object) error {
	gvk, err := r.Kinds.GroupVersionKindFor(obj)
	if err != nil {
		return err
	}
	chosen, _ := r.Keep.scope.chooses(v.GroupKind(), namespace)
	for next := ""; ; {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		err := r.Live.List(ctx, list, &client.ListOptions{
			Namespace: namespace, LabelSelector: chosen.label, FieldSelector: chosen.field, Limit: pageSize, Continue: next,
		})
		if err != nil {
			return err
		}
		for i := range list.Items {
			key := client.ObjectKeyFromObject(&list.Items[i])
			if err := r.Cached.Get(ctx, key, obj); apierrors.IsNotFound(err) {
				r.Keep.lacks(v, key, list.Items[i].ResourceVersion)
			} else if err != nil {
				return err
			}
		}
		if next = list.Continue; next == "" {
			return nil
		}
	}
}

// viewOf returns the view in which an object is read from the cache, and notes that it is.
func (r *Reader) viewOf(obj client.Object) (view, error) {
	t := reflect.TypeOf(obj)
	if v, ok := r.types.Load(t); ok {
		return v.(view), nil
	}
	gvk, err := r.Kinds.GroupVersionKindFor(obj)
	if err != nil {
		return view{}, err
	}
	v := r.note(gvk, formOf(obj))
	if v.form == inType { // of the others, objects of one Go type can be of different kinds
		r.types.Store(t, v)
	}
	return v, nil
}

// note notes that objects are read from the cache in a view, which it returns.
func (r *Reader) note(gvk schema.GroupVersionKind, f form) view {
	if r.Keep.all {
		return whole(gvk.GroupKind())
	}
	v := view{gvk, f}
	if _, noted := r.views.LoadOrStore(v, true); !noted {
		r.Keep.reads(v)
	}
	return v
}

// itemsOf returns the view in which a list's items are read, and a maker of an empty one.
func (r *Reader) itemsOf(list client.ObjectList) (view, func() (client.Object, error), error) {
	gvk, err := r.Kinds.GroupVersionKindFor(list)
	if err != nil {
		return view{}, nil, err
	}
	gvk.Kind = strings.TrimSuffix(gvk.Kind, "List")
	return r.note(gvk, formOf(list)), func() (client.Object, error) { return itemOf(list, gvk) }, nil
}

// itemOf returns an empty item of a list, in the same representation: that is what
// the cache keeps.
func itemOf(list client.ObjectList, gvk schema.GroupVersionKind) (client.Object, error) {
	switch list.(type) {
	case *metav1.PartialObjectMetadataList:
		obj := &metav1.PartialObjectMetadata{}
		obj.SetGroupVersionKind(gvk)
		return obj, nil
	case runtime.Unstructured:
		obj := &unstructured.Unstructured{}
		obj.SetGroupVersionKind(gvk)
		return obj, nil
	}
	items, err := meta.GetItemsPtr(list)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", gvk.Kind, err)
	}
	element := reflect.TypeOf(items).Elem().Elem()
	if element.Kind() == reflect.Pointer {
		element = element.Elem()
	}
	obj, ok := reflect.New(element).Interface().(client.Object)
	if !ok {
		return nil, fmt.Errorf("list %s: %s is no object", gvk.Kind, element)
	}
	return obj, nil
}
