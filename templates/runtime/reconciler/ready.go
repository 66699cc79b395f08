package reconciler

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

// ConditionReady is the type of the condition that this package keeps.
const ConditionReady = "Ready"

// Reasons of the Ready condition and of events, beside those that a cause or
// the user's error brings (see cause.Cause.Reason and requeue.Because).
const (
	ReasonReconciled      = "Reconciled"      // ReconcileKind succeeded
	ReasonReconcileFailed = "ReconcileFailed" // it failed and is tried again
	ReasonFinalizing      = "Finalizing"      // FinalizeKind is not done yet
	ReasonFinalizeFailed  = "FinalizeFailed"  // FinalizeKind failed and is tried again
	ReasonTerminal        = "Terminal"        // it failed and is not tried again before the object changes
	ReasonPanicked        = "Panicked"        // it panicked
	ReasonCanceled        = "Canceled"        // the controller was stopped
	ReasonOrphaned        = "Orphaned"        // the object has a finalizer that nobody handles
)

// PanicError is a panic of the user's code. It does not unwrap to its value: an
// error that was thrown is no word about what shall happen next.
type PanicError struct {
	// Value is what was given to panic.
	Value any
}

// Error names the panic's value. The stack is in the log.
func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// OutcomeName names the outcome for metrics.
func (p *PanicError) OutcomeName() string { return "panic" }

// verdict is what a pass comes to.
type verdict struct {
	// ready is the new status of the Ready condition; empty leaves it alone.
	ready   metav1.ConditionStatus
	reason  string
	message string
	// observed tells that the pass dealt with the object's generation.
	observed bool
	// event tells that a change of the condition is worth an event.
	event bool
	// err is what the pass returns to the chain.
	err error
}

// judge turns the end of the user's code, under ctx, into a verdict. The
// fallback is the reason for failures that bring none of their own.
func judge(ctx context.Context, err error, fallback string) verdict {
	if _, ok := errors.AsType[*PanicError](err); ok {
		return failed(err, ReasonPanicked)
	}
	o := cause.Classify(ctx, err)
	switch {
	case o.OK():
		return verdict{ready: metav1.ConditionTrue, reason: ReasonReconciled, observed: true, event: true}
	case o.Ended && o.Interrupted():
		return interrupted(o)
	case o.Ended:
		return failed(o.Err, reasonOf(o, fallback))
	case o.Name == cause.NameConflict:
		// Somebody else wrote at the same time: routine, and gone on the next try.
		return verdict{err: err}
	}
	if later, ok := requeue.AsLater(err); ok {
		return postponed(later)
	}
	if requeue.IsTerminal(err) {
		return failed(err, reasonOf(o, ReasonTerminal))
	}
	return failed(err, reasonOf(o, fallback))
}

func failed(err error, reason string) verdict {
	return verdict{
		ready: metav1.ConditionFalse, reason: reason, message: err.Error(),
		observed: true, event: true, err: err,
	}
}

func postponed(later *requeue.Later) verdict {
	v := verdict{ready: metav1.ConditionTrue, reason: ReasonReconciled, observed: true, event: true, err: later}
	if later.Pending() {
		v.ready, v.reason, v.message = metav1.ConditionFalse, later.Reason(), later.Message()
	}
	return v
}

// interrupted is the verdict on work ended by a decision. Whether the object
// is ready is unknown then, except that a superseded pass says nothing, as the
// next one follows at once.
func interrupted(o cause.Outcome) verdict {
	v := verdict{ready: metav1.ConditionUnknown, reason: ReasonCanceled, message: o.Err.Error(), err: chain.CutShort(o.Err)}
	if o.Cause != nil {
		v.reason = o.Cause.Reason()
	}
	if errors.Is(o.Err, cause.Superseded) {
		v.ready = ""
	}
	return v
}

// reasonOf prefers the user's word, then the cause's.
func reasonOf(o cause.Outcome, fallback string) string {
	if reason, ok := requeue.Reason(o.Err); ok {
		return reason
	}
	return fallback
}

// apply puts the verdict into the object's status. Without the status
// subresource a status write makes a new generation, so that telling the
// generation in the status would never come to an end.
func (l *Loop[T]) apply(v verdict, obj T, generation int64) {
	if !l.kind.StatusSubresource {
		generation = 0
	} else if v.observed && l.kind.SetObservedGeneration != nil {
		l.kind.SetObservedGeneration(obj, generation)
	}
	if v.ready == "" || l.kind.Conditions == nil {
		return
	}
	apimeta.SetStatusCondition(l.kind.Conditions(obj), metav1.Condition{
		Type: ConditionReady, Status: v.ready, Reason: v.reason,
		Message: truncate(v.message), ObservedGeneration: generation,
	})
}

// announce records an event if the verdict changes what the object said before.
func (l *Loop[T]) announce(v verdict, before T, action string) {
	if !v.event || v.ready == "" {
		return
	}
	if l.kind.Conditions != nil {
		old := apimeta.FindStatusCondition(*l.kind.Conditions(before), ConditionReady)
		if old != nil && old.Status == v.ready && old.Reason == v.reason {
			return
		}
	} else if v.ready == metav1.ConditionTrue {
		return // without a condition every success would look like a change
	}
	kind := corev1.EventTypeWarning
	if v.ready == metav1.ConditionTrue || isLater(v.err) {
		kind = corev1.EventTypeNormal
	}
	l.recorder.Eventf(before, nil, kind, v.reason, action, "%s", truncate(v.message))
}

func isLater(err error) bool {
	_, ok := requeue.AsLater(err)
	return ok
}

// maxMessage bounds messages, in bytes: an event's note may have 1024.
const maxMessage = 1000

func truncate(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + " …"
}
