package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
)

// addFinalizer makes sure that obj has the finalizer before anything is done
// that has to be cleaned up. For the conflict see patchFinalizers.
func (l *Loop[T]) addFinalizer(ctx context.Context, obj T) (conflict, err error) {
	return l.patchFinalizers(ctx, obj, append(slices.Clone(obj.GetFinalizers()), l.kind.Finalizer))
}

// finalize is the pass over an object that is being deleted. Without the
// user's FinalizeKind, or with its work done, there is nothing to do:
// reconciling would bring back what is being taken down. The finalizer goes from
// the state that FinalizeKind has seen, or made by its last write: a newer one, which is
// the conflict, is for another look.
func (l *Loop[T]) finalize(ctx context.Context, obj T) (conflict, err error) {
	if !controllerutil.ContainsFinalizer(obj, l.kind.Finalizer) {
		return nil, nil
	}
	if l.finalizer == nil {
		log.FromContext(ctx).Info("Object has a finalizer of this controller, which has no FinalizeKind any more; remove it by hand",
			"finalizer", l.kind.Finalizer)
		l.recorder.Eventf(obj, nil, corev1.EventTypeWarning, ReasonOrphaned, "Finalize",
			"finalizer %s has no handler any more; remove it by hand", l.kind.Finalizer)
		return nil, nil
	}
	before := l.snapshots.take(obj)
	before.SetFinalizers(slices.Clone(obj.GetFinalizers())) // which are not changed by changing obj alone
	stored, err := l.call(ctx, l.finalizer.FinalizeKind, before, obj)
	v := l.judge(ctx, err, ReasonFinalizeFailed, before)
	if v.err != nil {
		if v.ready == metav1.ConditionTrue { // another look is wanted, so it is not done
			v.ready, v.reason, v.course = metav1.ConditionFalse, ReasonFinalizing, moving
		}
		return nil, l.conclude(ctx, v, before, stored, obj, "Finalize")
	}
	if number(obj.GetResourceVersion()) > number(stored.GetResourceVersion()) {
		stored = obj // read again, or written by a client without a witness
	}
	return l.removeFinalizer(ctx, stored)
}

// removeFinalizer lets the object go. Like the status it records what the pass
// came to, so it has the same reserve.
func (l *Loop[T]) removeFinalizer(work context.Context, obj T) (conflict, err error) {
	ctx, release, err := l.budget.BeginStatus(work)
	if err != nil {
		return nil, chain.CutShort(err)
	}
	defer release()
	kept := slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(name string) bool { return name == l.kind.Finalizer })
	conflict, err = l.patchFinalizers(ctx, obj, kept)
	return conflict, closing(ctx, client.IgnoreNotFound(err))
}

// patchFinalizers replaces the object's finalizers and changes nothing else. The patch
// is tied to the resource version of obj: a conflict, and no error, tells that there is
// a newer one.
func (l *Loop[T]) patchFinalizers(ctx context.Context, obj T, finalizers []string) (conflict, err error) {
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": finalizers, "resourceVersion": obj.GetResourceVersion(),
	}})
	if err != nil {
		return nil, err
	}
	if err = l.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, text)); apierrors.IsConflict(err) {
		return err, nil
	}
	return nil, err
}

// conflictPace is how fast a pass begins anew after a conflict about a finalizer.
var conflictPace = budget.Backoff{Base: 10 * time.Millisecond, Max: time.Second}

// newer returns obj as it is stored after a conflict about its version.
func (l *Loop[T]) newer(ctx context.Context, obj T, conflict error, attempt int) (T, error) {
	if budget.Wait(ctx, conflictPace.Delay(attempt)) != nil {
		return obj, conflict
	}
	stored, err := l.fetch(ctx, l.live, client.ObjectKeyFromObject(obj))
	if err == nil && stored.GetUID() != obj.GetUID() {
		return obj, conflict // replaced by another object, which has a pass of its own
	}
	return stored, err
}

// overtaken ends a pass each of whose attempts to change a finalizer met a newer version
// of the object, most likely because the user's code writes one unseen each time.
func (l *Loop[T]) overtaken(ctx context.Context, obj T, conflict error, action string) error {
	v := failed(fmt.Errorf("there was a newer version of the object each time its finalizer was to change: %w", conflict), ReasonConflict)
	v.conflict = true
	before := l.snapshots.take(obj)
	return l.conclude(ctx, v, before, before, obj, action)
}
