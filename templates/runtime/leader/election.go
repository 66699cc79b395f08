package leader

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
)

// Election competes for a Lease and keeps the terms in which this process
// leads. Make one with [New]; nil is a process that always leads.
type Election struct {
	settings Settings
	client   coordination.LeaseInterface // for the lock; every call has a timeout
	watching coordination.LeaseInterface // for watches, which last
	elector  *leaderelection.LeaderElector
	now      func() instant
	log      logr.Logger
	stamp    func(http.Header, *Term) // nil without server-side fence
	elected  chan struct{}            // closed when the first term begins

	base context.Context // of terms, with the values of Run's

	mu      sync.Mutex
	version string             // resource version of the newest state of the Lease that is known
	other   string             // the last term of another holder, see token
	rest    time.Time          // until then, on the monotonic clock, that holder may lead
	term    *Term              // the last one won, nil before the first
	begun   bool               // whether term has begun, or waits for rest
	writing bool               // whether a write of the Lease is under way
	closing bool               // no term begins any more
	began   chan struct{}      // closed, and replaced, when a term begins
	again   context.CancelFunc // ends the elector's present run, for it to try at once
}

// New makes an Election that talks to the API server by cfg, which must not be
// fenced. It fails if the settings are not safe or lack something that cannot
// be found out.
func New(ctx context.Context, cfg *rest.Config, settings Settings) (*Election, error) {
	settings, err := settings.Complete()
	if err != nil {
		return nil, err
	}
	if settings, err = settings.locate(); err != nil {
		return nil, err
	}
	patient := rest.AddUserAgent(cfg, "leader-election")
	patient.QPS = -1 // a renewal must not wait for its turn behind other requests
	hurried := rest.CopyConfig(patient)
	hurried.Timeout = settings.RenewDeadline / 2 // or one hung call would use up all attempts
	client, err := coordination.NewForConfig(hurried)
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	watching, err := coordination.NewForConfig(patient)
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	e, err := newElection(settings, client.Leases(settings.Namespace), watching.Leases(settings.Namespace))
	if err != nil {
		return nil, err
	}
	if settings.ServerFence {
		if e.stamp, err = stamper(ctx, hurried); err != nil {
			return nil, fmt.Errorf("--leader-elect-server-fence: %w", err)
		}
	}
	return e, nil
}

func newElection(settings Settings, client, watching coordination.LeaseInterface) (*Election, error) {
	e := &Election{
		settings: settings, client: client, watching: watching, now: now, log: logr.Discard(),
		elected: make(chan struct{}), began: make(chan struct{}), again: func() {},
	}
	below := &leases{LeaseInterface: client, election: e}
	var err error
	e.elector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: settings.Name,
		Lock: lock{leases: below, LeaseLock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: settings.Namespace, Name: settings.Name},
			Client:     below,
			LockConfig: resourcelock.ResourceLockConfig{Identity: settings.Identity},
		}},
		LeaseDuration: settings.LeaseDuration,
		RenewDeadline: settings.RenewDeadline,
		RetryPeriod:   settings.RetryPeriod,
		// Terms begin and end by what passes through the lock's client, which
		// knows earlier and more than these are told.
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) {}, OnStoppedLeading: func() {}},
	})
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	leading.WithLabelValues(e.settings.Name).Set(0)
	return e, nil
}

// Leading tells whether this process leads at this very moment.
func (e *Election) Leading() bool {
	if e == nil {
		return true
	}
	_, err := e.Term()
	return err == nil
}

// Elected is closed when this process leads for the first time.
func (e *Election) Elected() <-chan struct{} { return e.elected }

// Term returns the term that is in force, or why there is none.
func (e *Election) Term() (*Term, error) {
	e.mu.Lock()
	t, begun := e.term, e.begun
	e.mu.Unlock()
	if t == nil || !begun {
		return nil, errNotElected
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	return t, nil
}

// errNotElected is why a process does not lead that never did or will soon.
var errNotElected = cause.LeadershipLost.With("not elected")

// Join ties ctx to the term that is in force, as [Join] does.
func (e *Election) Join(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if e == nil {
		return ctx, func() {}, nil
	}
	t, err := e.Term()
	if err != nil {
		return nil, nil, err
	}
	return t.Join(ctx)
}

// Fence returns a copy of cfg whose clients write only in a term. See package
// fence for what counts as a write.
func (e *Election) Fence(cfg *rest.Config) (*rest.Config, error) {
	if e == nil {
		return cfg, nil
	}
	return fence.Config(cfg, func() (fence.Permission, error) { return e.permission() })
}

// permission is Term with an interface for result, which must not be a nil
// *Term in an interface.
func (e *Election) permission() (fence.Permission, error) {
	t, err := e.Term()
	if err != nil {
		return nil, err
	}
	return t, nil
}

// next waits for a term other than last to be in force, and returns false if ctx
// ends before.
func (e *Election) next(ctx context.Context, last *Term) (*Term, bool) {
	for {
		began := e.beginning() // asked first, or a term that begins now is missed
		if t, err := e.Term(); err == nil && t != last {
			return t, true
		}
		select {
		case <-began:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// beginning returns a channel that is closed when the next term begins.
func (e *Election) beginning() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.began
}

// predecessor returns how long the last other holder may still lead.
func (e *Election) predecessor() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rest.Sub(e.now().monotonic)
}

// order compares a resource version with that of the newest state of the Lease
// that is known, and notes it if it is newer. The watch and the lock run side by
// side, and either may be late.
func (e *Election) order(version string) int {
	order, err := resourceversion.CompareResourceVersion(version, e.version)
	if err != nil { // nothing is known yet
		order = 1
	}
	if order > 0 {
		e.version = version
	}
	return order
}

// writes is told that this process is about to write the Lease. It returns when
// that is.
func (e *Election) writes() instant {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writing = true
	return e.now()
}

// wrote is told how a write ended that was sent at sent.
func (e *Election) wrote(lease *coordinationv1.Lease, err error, sent instant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writing = false
	if err != nil || e.order(lease.ResourceVersion) < 0 { // the watch may have told of it already
		return
	}
	if e.term != nil && e.term.transitions == transitions(lease) && e.term.Check() == nil {
		e.term.renew(sent)
		return
	}
	e.lose("the lease was won anew")
	e.term, e.begun = newTerm(e.base, e.settings.Identity, transitions(lease), e.settings.LeaseDuration-e.settings.Margin, e.now, sent), false
	e.term.election, e.term.stamp = e, e.stamp
	won := e.term
	if wait := e.rest.Sub(e.now().monotonic); wait > 0 {
		e.log.Info("Elected; waiting until the last leader's time is over", "term", won, "wait", wait.Round(time.Millisecond))
		time.AfterFunc(wait, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.begin(won)
		})
		return
	}
	e.begin(won)
}

// begin begins a term that has been won, unless it is over already.
func (e *Election) begin(t *Term) {
	if e.term != t || e.closing || t.Check() != nil {
		return
	}
	e.begun = true
	close(e.began)
	e.began = make(chan struct{})
	select {
	case <-e.elected:
	default:
		close(e.elected)
	}
	terms.WithLabelValues(e.settings.Name).Inc()
	e.publish()
	e.log.Info("Leading", "term", t)
	context.AfterFunc(t.ctx, func() {
		e.log.Info("Observing", "term", t, "reason", context.Cause(t.ctx).Error())
		e.mu.Lock()
		defer e.mu.Unlock()
		e.publish()
	})
}

// publish brings the metric up to date.
func (e *Election) publish() {
	value := 0.0
	if e.begun && e.held() {
		value = 1
	}
	leading.WithLabelValues(e.settings.Name).Set(value)
}

// read is told of a state of the Lease that the API server sent. It reports
// whether there is reason to try to win the Lease at once.
func (e *Election) read(lease *coordinationv1.Lease) (retry bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.order(lease.ResourceVersion) <= 0 {
		return false
	}
	switch who := holder(lease); who {
	case e.settings.Identity:
		if e.held() && e.term.transitions == transitions(lease) && length(lease) >= e.settings.LeaseDuration {
			return false // a renewal, of which the watch tells before its answer is here, or instead
		}
		e.lose("the lease was changed by somebody else")
		return !e.writing // or it is what is being written
	case "":
		e.lose("the lease was taken away")
		if lease.Annotations[releasedBy] == e.other {
			e.rest = time.Time{}
		}
		return true
	default:
		e.lose("the lease is held by " + who)
		e.other = token(who, transitions(lease))
		e.rest = e.now().monotonic.Add(length(lease))
		return false
	}
}

// gone is told that the Lease is deleted, as of a resource version that is empty
// if it is not known. It reports whether there is reason to try to win the
// Lease at once.
func (e *Election) gone(version string) (retry bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if version != "" && e.order(version) <= 0 || !e.held() {
		return false
	}
	e.lose("the lease was deleted")
	return true
}

// retry lets the elector try at once.
func (e *Election) retry() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.again()
}

// held tells whether the last term won is not over, be it begun or not.
func (e *Election) held() bool { return e.term != nil && e.term.over.Load() == nil }

// lose ends the last term won, if it is not over.
func (e *Election) lose(why string) {
	if e.term != nil {
		e.term.end(cause.LeadershipLost.With(why))
	}
}
