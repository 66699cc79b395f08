package leader

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// lock is client-go's, with two changes. client-go takes a renewal by another
// holder for one only if the text of the record is a new one, and that has times
// in whole seconds: with renewals less than a second apart it would miss some,
// and take over as much too early. Here each version has a text of its own. And
// client-go takes itself for the leader where another process has its identity.
// Here that one has another name.
type lock struct {
	*resourcelock.LeaseLock
	leases *leases
}

// Get implements resourcelock.Interface.
func (l lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, text, err := l.LeaseLock.Get(ctx)
	if record != nil && l.leases.double {
		record.HolderIdentity += " (another process)"
	}
	return record, append(text, l.leases.got...), err
}

// leases is the client below client-go's lock. It tells the election of every
// state of the Lease that passes by, and of when what was sent.
type leases struct {
	coordination.LeaseInterface
	election *Election
	got      string // the resource version of the last Get; the lock makes one call at a time
	double   bool   // whether that was held by another process of the same identity
}

var _ coordination.LeasesGetter = (*leases)(nil)

// Leases implements LeasesGetter; there is one namespace.
func (l *leases) Leases(string) coordination.LeaseInterface { return l }

// Get implements LeaseInterface.
func (l *leases) Get(ctx context.Context, name string, o metav1.GetOptions) (*coordinationv1.Lease, error) {
	c := l.election.calls()
	lease, err := l.LeaseInterface.Get(ctx, name, o)
	switch {
	case err == nil:
		l.got, l.double = lease.ResourceVersion, l.election.fetched(lease, c)
	case apierrors.IsNotFound(err):
		l.election.gone("")
	}
	return lease, err
}

// Create implements LeaseInterface. A Lease that was deleted is left to its last
// holder until that one's time is over.
func (l *leases) Create(ctx context.Context, lease *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	if wait := l.election.predecessor(); wait > 0 {
		return nil, fmt.Errorf("the lease was deleted, but its last holder may lead for another %s", wait.Round(time.Millisecond))
	}
	c := l.election.writes(lease)
	created, err := l.LeaseInterface.Create(ctx, lease, o)
	l.election.wrote(created, err, c)
	return created, err
}

// Update implements LeaseInterface.
func (l *leases) Update(ctx context.Context, lease *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	c := l.election.writes(lease)
	updated, err := l.LeaseInterface.Update(ctx, lease, o)
	l.election.wrote(updated, err, c)
	if apierrors.IsNotFound(err) {
		l.election.gone("")
	}
	return updated, err
}

// releasedBy is the annotation in which the holder says that it has ended its
// term itself: the [token] of that term. A Lease without a holder says nothing,
// as anybody may have taken the holder out of it.
const releasedBy = "leader.ctxscaffold.dev/released-by"

// token names a term among all terms of a Lease.
func token(holder string, transitions int32) string {
	return strconv.Itoa(int(transitions)) + "/" + holder
}

// errNotHeld says that there is nothing to release.
var errNotHeld = errors.New("the lease is not held by this process")

// release gives up the Lease if, and only if, it is held by this process at that
// moment: what is written is tied to what was read. client-go's own release may
// wipe out a successor, as it decides by what it saw earlier.
func release(ctx context.Context, client coordination.LeaseInterface, name string, held func(*coordinationv1.Lease) bool, at time.Time) error {
	for {
		lease, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !held(lease) {
			return errNotHeld
		}
		metav1.SetMetaDataAnnotation(&lease.ObjectMeta, releasedBy, token(holder(lease), transitions(lease)))
		none, second, moment := "", int32(1), metav1.NewMicroTime(at)
		lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = &none, &second
		lease.Spec.RenewTime, lease.Spec.AcquireTime = &moment, &moment
		_, err = client.Update(ctx, lease, metav1.UpdateOptions{})
		if !apierrors.IsConflict(err) {
			return err
		}
	}
}

// follow returns a watch of the Lease that tells the election.
func (e *Election) follow() *watch.Loop {
	f := &follower{election: e, only: fields.OneTermEqualSelector("metadata.name", e.settings.Name).String()}
	return &watch.Loop{Source: f, Handler: f, Backoff: e.watchBackoff()}
}

// follower is source and handler of the watch of one Lease.
type follower struct {
	election *Election
	only     string
	version  string // of the last list
}

// ListWithContext implements watch.Source.
func (f *follower) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	o.FieldSelector = f.only
	list, err := f.election.watching.List(ctx, o)
	if err != nil {
		return nil, err
	}
	f.version = list.ResourceVersion
	return list, nil
}

// WatchWithContext implements watch.Source.
func (f *follower) WatchWithContext(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	o.FieldSelector = f.only
	return f.election.watching.Watch(ctx, o)
}

// Replace implements watch.Handler.
func (f *follower) Replace(_ context.Context, items []runtime.Object) error {
	retry := false
	if len(items) == 0 {
		retry = f.election.gone(f.version)
	}
	for _, item := range items { // there is one
		retry = f.election.read(item.(*coordinationv1.Lease))
	}
	if retry {
		f.election.retry()
	}
	return nil
}

// Handle implements watch.Handler.
func (f *follower) Handle(_ context.Context, event apiwatch.Event) error {
	lease := event.Object.(*coordinationv1.Lease)
	retry := false
	if event.Type == apiwatch.Deleted {
		retry = f.election.gone(lease.ResourceVersion)
	} else {
		retry = f.election.read(lease)
	}
	if retry {
		f.election.retry()
	}
	return nil
}

// holder returns who holds the lease, empty if nobody does.
func holder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// transitions returns how often the lease changed hands.
func transitions(lease *coordinationv1.Lease) int32 {
	if lease.Spec.LeaseTransitions == nil {
		return 0
	}
	return *lease.Spec.LeaseTransitions
}

// renewal names the last renewal of the lease by its time, in the microseconds
// that a Lease stores; 0 if there was none.
func renewal(lease *coordinationv1.Lease) int64 {
	if lease.Spec.RenewTime == nil {
		return 0
	}
	return lease.Spec.RenewTime.UnixMicro()
}

// length returns how long others wait after a renewal.
func length(lease *coordinationv1.Lease) time.Duration {
	if lease.Spec.LeaseDurationSeconds == nil {
		return 0
	}
	return time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
}
