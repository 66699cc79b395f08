package reconciler

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
)

// addFinalizer makes sure that obj has the finalizer before anything is done
// that has to be cleaned up. It returns the object as it is stored; again means that
// somebody else wrote it meanwhile, so that the pass must begin anew.
func (l *Loop[T]) addFinalizer(ctx context.Context, obj T) (_ T, again bool, _ error) {
	if controllerutil.ContainsFinalizer(obj, l.kind.Finalizer) {
		return obj, false, nil
	}
	return l.patchFinalizers(ctx, obj, append(slices.Clone(obj.GetFinalizers()), l.kind.Finalizer))
}

// finalize is the pass over an object that is being deleted. Without the
// user's FinalizeKind, or with its work done, there is nothing to do:
// reconciling would bring back what is being taken down. The finalizer goes from
// the state that FinalizeKind has seen: if there is a newer one, that is returned
// for another look.
func (l *Loop[T]) finalize(ctx context.Context, obj T) (_ T, again bool, _ error) {
	if !controllerutil.ContainsFinalizer(obj, l.kind.Finalizer) {
		return obj, false, nil
	}
	if l.finalizer == nil {
		log.FromContext(ctx).Info("Object has a finalizer of this controller, which has no FinalizeKind any more; remove it by hand",
			"finalizer", l.kind.Finalizer)
		l.recorder.Eventf(obj, nil, corev1.EventTypeWarning, ReasonOrphaned, "Finalize",
			"finalizer %s has no handler any more; remove it by hand", l.kind.Finalizer)
		return obj, false, nil
	}
	before, finalizers := l.snapshots.take(obj), slices.Clone(obj.GetFinalizers())
	stored, err := l.call(ctx, l.finalizer.FinalizeKind, before, obj)
	v := l.judge(ctx, err, ReasonFinalizeFailed, before)
	if v.err != nil {
		if v.ready == metav1.ConditionTrue { // another look is wanted, so it is not done
			v.ready, v.reason, v.course = metav1.ConditionFalse, ReasonFinalizing, moving
		}
		return obj, false, l.conclude(ctx, v, before, stored, obj, "Finalize")
	}
	if obj.GetResourceVersion() == before.GetResourceVersion() {
		obj.SetFinalizers(finalizers) // which are not changed by changing obj alone
	}
	return l.removeFinalizer(ctx, obj)
}

// removeFinalizer lets the object go. Like the status it records what the pass
// came to, so it has the same reserve.
func (l *Loop[T]) removeFinalizer(work context.Context, obj T) (_ T, again bool, _ error) {
	ctx, release, err := l.budget.BeginStatus(work)
	if err != nil {
		return obj, false, chain.CutShort(err)
	}
	defer release()
	kept := slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(name string) bool { return name == l.kind.Finalizer })
	obj, again, err = l.patchFinalizers(ctx, obj, kept)
	if again && work.Err() != nil { // the newer state is for a pass that has time for it
		return obj, false, l.unread(work, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}, context.Cause(work))
	}
	return obj, again, closing(ctx, client.IgnoreNotFound(err))
}

// conflictPace is how fast a pass begins anew after a conflict about a finalizer.
var conflictPace = budget.Backoff{Base: 10 * time.Millisecond, Max: time.Second}

// patchFinalizers replaces the object's finalizers and changes nothing else. The patch
// is tied to the resource version of obj. Again means that there is a newer version,
// which is returned as it is stored.
func (l *Loop[T]) patchFinalizers(ctx context.Context, obj T, finalizers []string) (_ T, again bool, _ error) {
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": finalizers, "resourceVersion": obj.GetResourceVersion(),
	}})
	if err != nil {
		return obj, false, err
	}
	err = l.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, text))
	if !apierrors.IsConflict(err) {
		return obj, false, err
	}
	if budget.Wait(ctx, conflictPace.Delay(1)) != nil {
		return obj, false, err
	}
	stored := l.kind.New()
	if getErr := l.live.Get(ctx, client.ObjectKeyFromObject(obj), stored); getErr != nil {
		return obj, false, getErr
	}
	if stored.GetUID() != obj.GetUID() {
		return obj, false, err // replaced by another object, which has a pass of its own
	}
	return stored, true, nil
}
