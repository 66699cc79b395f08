package status

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

// Writer writes the status of objects of one type.
type Writer[T client.Object] struct {
	// Client sends the patch.
	Client client.Client
	// Live reads the object after a conflict, from the API server and not from
	// a cache.
	Live client.Reader
	// Status returns a pointer to the object's status.
	Status func(T) any
	// Subresource reports whether the CRD has the status subresource.
	Subresource bool
	// Owned are the types of the conditions, in the status's field conditions, that are
	// the writer's own: whatever others made of them meanwhile, they are written as the
	// pass left them, or left them out.
	Owned []string
	// Lists is what the CRD says of the lists in the status.
	Lists Lists
	// FieldManager names the writer to the API server; empty means the client's name.
	FieldManager string
}

// pace is how fast a write is repeated. A conflict has always been won by
// someone, so there is progress; the context bounds the rest.
var pace = budget.Backoff{Base: 10 * time.Millisecond, Max: time.Second}

// Changed reports whether the status differs between two states of an object.
func (w *Writer[T]) Changed(before, after T) bool {
	return !equal(reflect.ValueOf(w.Status(before)), reflect.ValueOf(w.Status(after)))
}

// Write sends the difference between the status in before, as it was read, and
// in after, as the pass left it. It reports whether anything was written, and
// then after is what the API server answered.
//
// Write tries again, until ctx ends, after a conflict and after errors that
// budget.Retryable takes for passing. An object that is gone, or has been
// replaced by another of the same name, is nothing to write and no error.
func (w *Writer[T]) Write(ctx context.Context, before, after T) (bool, error) {
	return w.WriteOver(ctx, before, before, after)
}

// WriteOver is Write where the object has been written since it was read, by the pass
// itself, and stored is what the API server answered then.
func (w *Writer[T]) WriteOver(ctx context.Context, before, stored, after T) (bool, error) {
	version := stored.GetResourceVersion()
	if after.GetResourceVersion() == version {
		before = stored // from which the pass went on
	}
	if !w.Changed(before, after) {
		return false, nil
	}
	base, ours, err := w.decode(before, after)
	if err != nil {
		return false, err
	}
	if after.GetResourceVersion() != before.GetResourceVersion() {
		return w.writeLive(ctx, base, ours, after) // it goes on from what nobody has kept
	}
	theirs, target := base, ours
	if before.GetResourceVersion() != version {
		if theirs, err = decode(w.Status(stored)); err != nil {
			return false, fmt.Errorf("encode status: %w", err)
		}
		target = root(w.Lists, w.Owned).merge(base, ours, theirs, theirs)
	}
	if patch, ok := w.typedPatch(theirs, target, version); ok {
		if patch == nil {
			return false, nil
		}
		written, err := w.send(ctx, after, patch)
		if !repeat(err) {
			return written, err
		}
	}
	return w.writeLive(ctx, base, ours, after)
}

func (w *Writer[T]) decode(before, after T) (base, ours any, err error) {
	if base, err = decode(w.Status(before)); err == nil {
		ours, err = decode(w.Status(after))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encode status: %w", err)
	}
	return base, ours, nil
}

// typedPatch makes a patch of a version of the object without knowing all of it, nil
// if there is nothing to patch. It is not ok if that could lose fields which the Go
// types do not know.
func (w *Writer[T]) typedPatch(base, ours any, version string) (_ client.Patch, ok bool) {
	if !changesLists(base, ours) {
		return objectPatch(version, base, ours), true
	}
	ops, ok := root(w.Lists, nil).operations([]operation{{"test", "/metadata/resourceVersion", version}}, "/status", base, ours)
	if !ok {
		return nil, false
	}
	return rawPatch(types.JSONPatchType, ops), true
}

// changesLists reports whether a list that holds objects differs. A merge patch
// would replace it, and so drop unknown fields of its elements.
func changesLists(from, to any) bool {
	switch old := from.(type) {
	case map[string]any:
		new, _ := to.(map[string]any)
		for k := range old {
			if changesLists(old[k], new[k]) {
				return true
			}
		}
	case []any:
		return holdsObjects(old) && !reflect.DeepEqual(from, to)
	}
	return false
}

// objectPatch makes a merge patch that is tied to a resource version, nil if
// there is no difference. Unlike a JSON patch it does not fail where a parent
// is missing from the stored object.
func objectPatch(version string, from, to any) client.Patch {
	patch := mergePatch(map[string]any{"status": from}, map[string]any{"status": to})
	if empty(patch) || empty(patch["status"]) && empty(from) {
		return nil
	}
	patch["metadata"] = map[string]any{"resourceVersion": version}
	return rawPatch(types.MergePatchType, patch)
}

func rawPatch(t types.PatchType, v any) client.Patch {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("status: JSON value cannot be encoded: %v", err)) // decode made it from JSON
	}
	return client.RawPatch(t, text)
}

// writeLive applies the changes to the object as the API server has it.
func (w *Writer[T]) writeLive(ctx context.Context, base, ours any, after T) (bool, error) {
	gvk, err := w.Client.GroupVersionKindFor(after)
	if err != nil {
		return false, err
	}
	for attempt := 1; ; attempt++ {
		written, err := w.tryLive(ctx, gvk, base, ours, after)
		if !repeat(err) || apierrors.IsInvalid(err) {
			return written, err
		}
		if waitErr := budget.Wait(ctx, pace.Delay(attempt)); waitErr != nil {
			return false, fmt.Errorf("%w; last error: %w", waitErr, err)
		}
	}
}

func (w *Writer[T]) tryLive(ctx context.Context, gvk schema.GroupVersionKind, base, ours any, after T) (bool, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(gvk)
	if err := w.Live.Get(ctx, client.ObjectKeyFromObject(after), live); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	if live.GetUID() != after.GetUID() {
		return false, nil
	}
	theirs, err := decode(live.Object["status"])
	if err != nil {
		return false, fmt.Errorf("encode status: %w", err)
	}
	merged := root(w.Lists, w.Owned).merge(base, ours, w.known(live, after, theirs), theirs)
	patch := objectPatch(live.GetResourceVersion(), theirs, merged)
	if patch == nil {
		return false, nil
	}
	return w.send(ctx, after, patch)
}

// known is the status of live as the Go types know it, which is how they know that of
// after; all of it where they cannot hold it.
func (w *Writer[T]) known(live *unstructured.Unstructured, after T, status any) any {
	typed, ok := reflect.New(reflect.TypeOf(after).Elem()).Interface().(T)
	text, err := live.MarshalJSON()
	if !ok || err != nil || utiljson.Unmarshal(text, typed) != nil {
		return status
	}
	known, err := decode(w.Status(typed))
	if err != nil {
		return status
	}
	return known
}

func (w *Writer[T]) send(ctx context.Context, obj T, patch client.Patch) (bool, error) {
	var err error
	switch owner := client.FieldOwner(w.FieldManager); {
	case w.Subresource && owner != "":
		err = w.Client.Status().Patch(ctx, obj, patch, owner)
	case w.Subresource:
		err = w.Client.Status().Patch(ctx, obj, patch)
	case owner != "":
		err = w.Client.Patch(ctx, obj, patch, owner)
	default:
		err = w.Client.Patch(ctx, obj, patch)
	}
	return err == nil, client.IgnoreNotFound(err)
}

// repeat reports whether another attempt on the stored object may succeed. The
// API server calls a JSON patch invalid whose test fails or whose target is
// missing.
func repeat(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsInvalid(err) || budget.Retryable(err)
}
