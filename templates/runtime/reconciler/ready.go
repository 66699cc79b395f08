package reconciler

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

// The types of the conditions that this package keeps. Reconciling and Stalled are
// there only while they are true, as kstatus and the tools built on it expect.
const (
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling" // work on the object is under way, or will go on by itself
	ConditionStalled     = "Stalled"     // nothing will happen before the object changes
)

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
	ReasonConflict        = "Conflict"        // every attempt met a newer version of the object
	ReasonStatusRefused   = "StatusRefused"   // the API server does not accept the status
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
	// course says what becomes of the object next.
	course course
	// observed tells that the pass dealt with the object's generation.
	observed bool
	// event tells that a change of the condition is worth an event.
	event bool
	// conflict tells that somebody else wrote the object meanwhile.
	conflict bool
	// err is what the pass returns to the chain.
	err error
}

// course is what becomes of an object next.
type course int

const (
	unsaid  course = iota // as was said before
	settled               // nothing, until something changes
	moving                // another pass comes by itself
	stuck                 // nothing, and that is a failure
)

// courses are those that the owned conditions after the first one tell of, in their order.
var courses = [...]course{stuck, moving}

// patientConflicts is how many passes of an object in a row may end in a conflict
// before that is a failure: one is gone on the next pass, as that reads what is stored.
const patientConflicts = 5

// judge turns the end of the user's code, under ctx, into a verdict. The
// fallback is the reason for failures that bring none of their own.
func (l *Loop[T]) judge(ctx context.Context, err error, fallback string, obj T) verdict {
	v := judge(ctx, err, fallback, obj)
	switch {
	case !v.conflict:
	case !l.concerned(err):
		v = failed(err, fallback) // about another object of the same name
	case l.memories.conflict(client.ObjectKeyFromObject(obj)) > patientConflicts:
		v = failed(err, ReasonConflict)
		v.conflict = true
	}
	return v
}

// judge is the verdict without a memory: a conflict about obj is routine.
func judge(ctx context.Context, err error, fallback string, obj client.Object) verdict {
	if _, ok := errors.AsType[*PanicError](err); ok {
		return failed(err, ReasonPanicked)
	}
	o := cause.Classify(ctx, err)
	switch {
	case o.OK():
		return verdict{ready: metav1.ConditionTrue, reason: ReasonReconciled, course: settled, observed: true, event: true}
	case o.Ended && o.Interrupted():
		return interrupted(o)
	case o.Ended:
		return failed(o.Err, reasonOf(o, fallback))
	}
	if later, ok := requeue.AsLater(err); ok {
		return postponed(later)
	}
	if requeue.IsTerminal(err) {
		v := failed(err, reasonOf(o, ReasonTerminal))
		v.course = stuck
		return v
	}
	if _, given := requeue.Reason(err); !given && outdated(err, obj) {
		// Somebody else wrote at the same time: gone on the next try.
		return verdict{conflict: true, err: err}
	}
	return failed(err, reasonOf(o, fallback))
}

// outdated reports whether err is that obj was written by somebody else meanwhile,
// and nothing beside it.
func outdated(err error, obj client.Object) bool {
	for err != nil {
		status, ok := err.(*apierrors.StatusError)
		if !ok {
			err = errors.Unwrap(err) // nil for what was joined of several
			continue
		}
		details := status.ErrStatus.Details
		return apierrors.IsConflict(status) && !apierrors.HasStatusCause(status, metav1.CauseTypeFieldManagerConflict) &&
			details != nil && details.Name == obj.GetName()
	}
	return false
}

// concerned reports whether a conflict is about objects of this kind, as far as that can
// be told.
func (l *Loop[T]) concerned(conflict error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](conflict)
	if !ok || status.ErrStatus.Details == nil {
		return false
	}
	gvk, err := l.client.GroupVersionKindFor(l.kind.New())
	if err != nil {
		return true
	}
	of := status.ErrStatus.Details // whose Kind is the resource's name
	if of.Group != gvk.Group {
		return false
	}
	mapping, err := l.client.RESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version)
	return err != nil || of.Kind == mapping.Resource.Resource
}

func failed(err error, reason string) verdict {
	return verdict{
		ready: metav1.ConditionFalse, reason: reason, message: err.Error(),
		course: moving, observed: true, event: true, err: err,
	}
}

func postponed(later *requeue.Later) verdict {
	v := verdict{ready: metav1.ConditionTrue, reason: ReasonReconciled, course: settled, observed: true, event: true, err: later}
	if later.Pending() {
		v.ready, v.reason, v.message, v.course = metav1.ConditionFalse, later.Reason(), later.Message(), moving
	}
	return v
}

// interrupted is the verdict on work ended by a decision, which says nothing about the
// object: what was ready is so still, and of a generation that was never looked at
// nobody knows. A superseded pass has not even been interrupted for long, as the next
// one follows at once.
func interrupted(o cause.Outcome) verdict {
	v := verdict{ready: metav1.ConditionUnknown, reason: ReasonCanceled, message: o.Err.Error(), course: moving, event: true, err: chain.CutShort(o.Err)}
	if o.Cause != nil {
		v.reason, v.event = o.Cause.Reason(), !o.Cause.Fencing() // then there is nothing more to say
	}
	if errors.Is(o.Err, cause.Superseded) {
		v.ready, v.course = "", unsaid
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

// conditions returns the object's conditions, nil if the kind has none.
func (l *Loop[T]) conditions(obj T) Conditions {
	switch {
	case l.kind.Conditions != nil:
		return Standard(l.kind.Conditions(obj))
	case l.kind.OwnConditions != nil:
		return l.kind.OwnConditions(obj)
	}
	return nil
}

// ownedConditions are the types of the conditions that a controller keeps. Those of
// the whole object are kept by the controller that keeps Ready; another one notes in one
// of its own that it has stalled.
func ownedConditions(conditionType string) []string {
	if conditionType == ConditionReady {
		return []string{ConditionReady, ConditionStalled, ConditionReconciling}
	}
	return []string{conditionType, conditionType + ConditionStalled}
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
	conditions := l.conditions(obj)
	if conditions == nil {
		return
	}
	if v.ready != "" && (v.ready != metav1.ConditionUnknown || l.unobserved(conditions, generation)) {
		conditions.Set(l.condition(l.kind.ConditionType, v.ready, v, generation))
	}
	if v.course == unsaid {
		return
	}
	for i, name := range l.owned[1:] {
		if v.course == courses[i] {
			conditions.Set(l.condition(name, metav1.ConditionTrue, v, generation))
		} else {
			conditions.Remove(name)
		}
	}
}

func (l *Loop[T]) condition(name string, status metav1.ConditionStatus, v verdict, generation int64) metav1.Condition {
	return metav1.Condition{Type: name, Status: status, Reason: v.reason, Message: truncate(v.message), ObservedGeneration: generation}
}

// unobserved reports whether no pass has come to an end yet about a generation.
func (l *Loop[T]) unobserved(conditions Conditions, generation int64) bool {
	last, ok := conditions.Find(l.kind.ConditionType)
	return !ok || last.ObservedGeneration != 0 && last.ObservedGeneration != generation
}

// announce records an event if the verdict changes what the object said before.
func (l *Loop[T]) announce(v verdict, before T, action string) {
	if !v.event || v.ready == "" {
		return
	}
	if conditions := l.conditions(before); conditions != nil {
		said, ok := conditions.Find(l.kind.ConditionType)
		if v.ready == metav1.ConditionUnknown && l.kind.ConditionType == ConditionReady {
			said, ok = conditions.Find(ConditionReconciling)
			said.Status = metav1.ConditionUnknown
		}
		if ok && said.Status == v.ready && said.Reason == v.reason {
			return
		}
	} else if v.ready == metav1.ConditionTrue {
		return // without a condition every success would look like a change
	}
	kind := corev1.EventTypeWarning
	if v.ready != metav1.ConditionFalse || isLater(v.err) {
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
