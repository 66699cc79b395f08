package leader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
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
	server   string                   // the API server with the Lease
	stamp    func(http.Header, *Term) // nil without server-side fence
	elected  chan struct{}            // closed when the first term begins

	base context.Context // of terms, with the values of Run's

	mu      sync.Mutex
	version string             // resource version of the newest state of the Lease that is known
	mine    map[int64]struct{} // renewals that are this process's: the last one, and any sent since
	others  bool               // whether a holder of another name, or none, was the last one known
	double  int64              // the last renewal by another process of the same name
	told    bool               // whether people were told of that process
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
	if e.server, err = serverOf(cfg); err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
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
		mine: map[int64]struct{}{}, elected: make(chan struct{}), began: make(chan struct{}), again: func() {},
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

// Leading reports whether this process leads at this very moment.
func (e *Election) Leading() bool {
	if e == nil {
		return true
	}
	_, err := e.Term()
	return err == nil
}

// Elected is closed when this process leads for the first time.
func (e *Election) Elected() <-chan struct{} {
	if e == nil {
		return closed
	}
	return e.elected
}

// closed is what a process that always leads waits for.
var closed = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// Term returns the term that is in force, or why there is none. A process that runs
// alone leads without terms.
func (e *Election) Term() (*Term, error) {
	if e == nil {
		return nil, errAlone
	}
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
var errNotElected, errAlone = cause.LeadershipLost.With("not elected"), errors.New("no leader election, so no terms")

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
// fence for what counts as a write. cfg may be another cluster's: its API server
// is not told of the term, which it could not compare with a Lease.
func (e *Election) Fence(cfg *rest.Config) (*rest.Config, error) {
	if e == nil {
		return cfg, nil
	}
	server, err := serverOf(cfg)
	if err != nil {
		return nil, err
	}
	if server != e.server {
		return fence.Config(cfg, e.abroad)
	}
	return fence.Config(cfg, e.permission)
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

// abroad is permission for another cluster.
func (e *Election) abroad() (fence.Permission, error) {
	t, err := e.Term()
	if err != nil {
		return nil, err
	}
	return abroad{t}, nil
}

// serverOf names the API server of cfg.
func serverOf(cfg *rest.Config) (string, error) {
	server, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return "", fmt.Errorf("host of the API server: %w", err)
	}
	return strings.TrimSuffix(server.String(), "/"), nil
}

// abroad is a term as the permission to write to another cluster.
type abroad struct{ *Term }

// Stamp implements fence.Permission. There, a stamp would be taken for an
// impersonation of somebody who is unknown, or somebody else.
func (abroad) Stamp(http.Header) {}

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

// call is what a call of the lock has to be judged by.
type call struct {
	sent  instant
	known string // resource version of the newest state that was known then
}

// calls is told that the lock is about to call. It returns when that is.
func (e *Election) calls() call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return call{e.now(), e.version}
}

// anew reports whether an answer to the lock shows that the resource versions have
// begun anew, as they do when etcd is restored from a backup. Such an answer is
// the truth at some time after the call, so it cannot be older than what was
// known before. What was seen until now then says nothing about what is newer.
func (e *Election) anew(version string, c call) bool {
	order, err := resourceversion.CompareResourceVersion(version, c.known)
	if err != nil || order >= 0 {
		return false
	}
	e.log.Info("The API server's resource versions have begun anew", "known", c.known, "found", version)
	e.version = ""
	return true
}

// writes is told that this process is about to write the Lease. It returns when
// that is.
func (e *Election) writes(lease *coordinationv1.Lease) call {
	c := e.calls()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writing = true
	e.mine[renewal(lease)] = struct{}{}
	return c
}

// wrote is told how a write ended.
func (e *Election) wrote(lease *coordinationv1.Lease, err error, c call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writing = false
	if err != nil {
		return
	}
	e.anew(lease.ResourceVersion, c)
	if e.order(lease.ResourceVersion) < 0 { // the watch has told of something newer meanwhile
		return
	}
	e.mine = map[int64]struct{}{renewal(lease): {}}
	e.told, e.others = false, false
	if e.term != nil && e.term.transitions == transitions(lease) && e.term.Check() == nil {
		e.term.renew(c.sent)
		return
	}
	e.lose("the lease was won anew")
	e.term, e.begun = newTerm(e.base, e.settings.Identity, transitions(lease), e.settings.LeaseDuration-e.settings.Margin, e.now, c.sent), false
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

// fetched is told of a state of the Lease that the lock has asked for. It reports
// whether another process holds it under this one's identity.
func (e *Election) fetched(lease *coordinationv1.Lease, c call) (double bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	mine := holder(lease) == e.settings.Identity
	if e.anew(lease.ResourceVersion, c) && mine {
		e.mine[renewal(lease)] = struct{}{} // it was this process's when the backup was made
	}
	e.learn(lease)
	return mine && !e.sent(lease)
}

// read is told of a state of the Lease that the watch brings. It reports whether
// there is reason to try to win the Lease at once.
func (e *Election) read(lease *coordinationv1.Lease) (retry bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.learn(lease)
}

// learn acts on a state of the Lease, unless it is not news.
func (e *Election) learn(lease *coordinationv1.Lease) (retry bool) {
	if e.order(lease.ResourceVersion) <= 0 {
		return false
	}
	switch who := holder(lease); who {
	case e.settings.Identity:
		if !e.sent(lease) {
			if !e.others {
				e.share(lease)
				return false
			}
			// Somebody has handed it over, or another process of the same identity has
			// taken it, which learns by the next renewal that it is not alone.
			e.wait(lease)
			e.mine[renewal(lease)] = struct{}{}
		}
		e.others = false
		if e.held() && e.term.transitions == transitions(lease) && length(lease) >= e.settings.LeaseDuration {
			return false // a renewal, of which the watch tells before its answer is here, or instead
		}
		e.lose("the lease was changed by somebody else")
		return !e.writing // or it is what is being written
	case "":
		e.lose("the lease was taken away")
		e.others = true
		if lease.Annotations[releasedBy] == e.other {
			e.rest = time.Time{}
		}
		return true
	default:
		e.lose("the lease is held by " + who)
		e.wait(lease)
		e.others = true
		return false
	}
}

// sent reports whether this process has sent the renewal that is in the Lease.
func (e *Election) sent(lease *coordinationv1.Lease) bool {
	_, ok := e.mine[renewal(lease)]
	return ok
}

// wait notes that another process may lead until the time of the Lease is over.
func (e *Election) wait(lease *coordinationv1.Lease) {
	e.other = token(holder(lease), transitions(lease))
	e.rest = e.now().monotonic.Add(length(lease))
}

// errShared is what people have to mend.
var errShared = errors.New("two processes have the same identity, and only one of them can lead")

// share is told of a renewal under this process's identity that it has not sent.
// It is a former life's, if the identity is not a new one each time; or another
// process has the same one. Either is a leader like any other.
func (e *Election) share(lease *coordinationv1.Lease) {
	alive := e.held() || e.double != 0 && e.double != renewal(lease)
	e.double = renewal(lease)
	e.lose("the lease is held by another process of the same identity, " + e.settings.Identity)
	e.wait(lease)
	switch {
	case alive && !e.told:
		e.told = true
		e.log.Error(errShared, "Give each process an identity of its own: leave --leader-elect-identity out, or make it the pod's name")
	case !alive:
		e.log.Info("The lease is held under this process's identity, but not by this process; waiting until its time is over")
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

// held reports whether the last term won is not over, be it begun or not.
func (e *Election) held() bool { return e.term != nil && e.term.over.Load() == nil }

// lose ends the last term won, if it is not over.
func (e *Election) lose(why string) {
	if e.term != nil {
		e.term.end(cause.LeadershipLost.With(why))
	}
}
