package reconciler

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
)

// addFinalizer makes sure that obj has the finalizer before anything is done
// that has to be cleaned up. It returns the object as it is stored.
func (l *Loop[T]) addFinalizer(ctx context.Context, obj T) (T, error) {
	return l.patchFinalizer(ctx, obj, controllerutil.AddFinalizer)
}

// finalize is the pass over an object that is being deleted. Without the
// user's FinalizeKind, or with its work done, there is nothing to do:
// reconciling would bring back what is being taken down.
func (l *Loop[T]) finalize(ctx context.Context, obj T) error {
	if !controllerutil.ContainsFinalizer(obj, l.kind.Finalizer) {
		return nil
	}
	if l.finalizer == nil {
		log.FromContext(ctx).Info("Object has a finalizer of this controller, which has no FinalizeKind any more; remove it by hand",
			"finalizer", l.kind.Finalizer)
		l.recorder.Eventf(obj, nil, corev1.EventTypeWarning, ReasonOrphaned, "Finalize",
			"finalizer %s has no handler any more; remove it by hand", l.kind.Finalizer)
		return nil
	}
	before := obj.DeepCopyObject().(T)
	v := judge(ctx, l.call(ctx, l.finalizer.FinalizeKind, obj), ReasonFinalizeFailed)
	if v.err != nil {
		if v.ready == metav1.ConditionTrue { // another look is wanted, so it is not done
			v.ready, v.reason = metav1.ConditionFalse, ReasonFinalizing
		}
		return l.conclude(ctx, v, before, obj, "Finalize")
	}
	return l.removeFinalizer(ctx, before)
}

// removeFinalizer lets the object go. Like the status it records what the pass
// came to, so it has the same reserve.
func (l *Loop[T]) removeFinalizer(ctx context.Context, obj T) error {
	ctx, release, err := l.budget.BeginStatus(ctx)
	if err != nil {
		return chain.CutShort(err)
	}
	defer release()
	_, err = l.patchFinalizer(ctx, obj, controllerutil.RemoveFinalizer)
	return closing(ctx, client.IgnoreNotFound(err))
}

// conflictPace is how fast a finalizer is tried again after a conflict.
var conflictPace = budget.Backoff{Base: 10 * time.Millisecond, Max: time.Second}

// patchFinalizer changes the object's finalizers and nothing else. The patch is
// tied to the resource version, as the list is replaced; after a conflict it is
// made anew from the stored object.
func (l *Loop[T]) patchFinalizer(ctx context.Context, obj T, change func(client.Object, string) bool) (T, error) {
	for attempt := 1; ; attempt++ {
		base := obj.DeepCopyObject().(T)
		if !change(obj, l.kind.Finalizer) {
			return obj, nil
		}
		err := l.client.Patch(ctx, obj, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
		if !apierrors.IsConflict(err) {
			return obj, err
		}
		if waitErr := budget.Wait(ctx, conflictPace.Delay(attempt)); waitErr != nil {
			return obj, err
		}
		stored := l.kind.New()
		if getErr := l.live.Get(ctx, client.ObjectKeyFromObject(obj), stored); getErr != nil {
			return obj, getErr
		}
		if stored.GetUID() != obj.GetUID() {
			return obj, err // replaced by another object, which has a pass of its own
		}
		obj = stored
	}
}
