package leader

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	applycoordination "k8s.io/client-go/applyconfigurations/coordination/v1"
)

// heartbeatOf labels the heartbeats of the competitors for one Lease with that
// Lease's name.
const heartbeatOf = "leader.ctxscaffold.dev/heartbeat-of"

// stale is how many lease durations after its last beat an observer's heartbeat
// is taken for a dead one's, which the leader clears away.
const stale = 20

// beat keeps, while this process observes, a Lease of its own that tells that it
// is alive: renewed each third of the lease duration, gone while it leads. The
// leader clears away those of the dead.
func (e *Election) beat(ctx context.Context) {
	pulse := time.NewTicker(e.settings.LeaseDuration / 3)
	defer pulse.Stop()
	var last *Term
	var swept instant
	for ctx.Err() == nil {
		began := e.beginning()
		var over <-chan struct{}
		if t, err := e.Term(); err != nil {
			e.report("Heartbeat failed", e.renewHeartbeat(ctx))
		} else {
			over = t.ctx.Done()
			if t != last {
				last = t
				e.forget(ctx)
			}
			if at := e.now(); at.since(swept) > stale*e.settings.LeaseDuration {
				swept = at
				e.report("Clearing dead heartbeats failed", e.sweep(ctx))
			}
		}
		select {
		case <-ctx.Done():
		case <-began:
		case <-over:
		case <-pulse.C:
		}
	}
}

// report logs a failure that is not worth more: the next beat is near.
func (e *Election) report(what string, err error) {
	if err != nil && !apierrors.IsNotFound(err) {
		e.log.V(1).Info(what, "error", err.Error())
	}
}

// heartbeat names this process's heartbeat. An identity is no valid name of an
// object.
func (e *Election) heartbeat() string {
	sum := sha256.Sum256([]byte(e.settings.Identity))
	return e.settings.Name + "-" + hex.EncodeToString(sum[:5])
}

// renewHeartbeat writes this process's heartbeat, be it there or not.
func (e *Election) renewHeartbeat(ctx context.Context) error {
	beat := applycoordination.Lease(e.heartbeat(), e.settings.Namespace).
		WithLabels(map[string]string{heartbeatOf: e.settings.Name}).
		WithSpec(applycoordination.LeaseSpec().
			WithHolderIdentity(e.settings.Identity).
			WithLeaseDurationSeconds(int32(e.settings.LeaseDuration / time.Second)).
			WithRenewTime(metav1.NewMicroTime(e.now().wall)))
	_, err := e.client.Apply(ctx, beat, metav1.ApplyOptions{FieldManager: "leader", Force: true})
	return err
}

// forget deletes this process's heartbeat.
func (e *Election) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.settings.RetryPeriod)
	defer cancel()
	e.report("Deleting the heartbeat failed", e.client.Delete(ctx, e.heartbeat(), metav1.DeleteOptions{}))
}

// sweep deletes the heartbeats of processes that are long dead and had no time
// to do it themselves. They are known by the label, so nothing else is deleted.
func (e *Election) sweep(ctx context.Context) error {
	only := labels.Set{heartbeatOf: e.settings.Name}.String()
	beats, err := e.client.List(ctx, metav1.ListOptions{LabelSelector: only})
	if err != nil {
		return err
	}
	for i := range beats.Items {
		beat := &beats.Items[i]
		if renewed := beat.Spec.RenewTime; renewed != nil && e.now().wall.Sub(renewed.Time) > stale*length(beat) {
			err := e.client.Delete(ctx, beat.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &beat.ResourceVersion}})
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return err
			}
		}
	}
	return nil
}
