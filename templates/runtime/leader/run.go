package leader

import (
	"context"
	"errors"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Run competes for the lease until ctx ends, and then gives it up: nothing new
// begins in the term, what is under way is waited for, the term ends and the
// lease is released. If what is under way does not end within RenewDeadline,
// the lease is left to run out. Run is called once, when everything that works
// in a term can.
func (e *Election) Run(ctx context.Context) {
	e.log = log.FromContext(ctx).WithName("leader").WithValues("lease", e.settings.Namespace+"/"+e.settings.Name, "identity", e.settings.Identity)
	running, stop := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), e.log))
	electing, resign := context.WithCancel(running)
	e.base = context.WithoutCancel(ctx)

	var candidacy, others sync.WaitGroup
	others.Go(func() { _ = e.follow().Start(running) }) // its handler does not fail
	others.Go(func() { e.beat(running) })
	candidacy.Go(func() { e.elect(electing) })

	<-ctx.Done()
	idle := e.drain() // under the lease, which is still being renewed
	resign()
	candidacy.Wait()
	e.giveUp(running, idle)
	stop()
	others.Wait()
	e.forget(context.WithoutCancel(ctx))
}

// elect runs client-go's elector again and again: it returns when it could not
// renew the lease for RenewDeadline, and when there is reason to try again
// without waiting for the next period.
func (e *Election) elect(ctx context.Context) {
	for ctx.Err() == nil {
		attempt, again := context.WithCancel(ctx)
		e.mu.Lock()
		e.again = again
		e.mu.Unlock()
		e.elector.Run(attempt)
		again()
	}
}

// watchBackoff spaces attempts to watch the Lease again.
func (e *Election) watchBackoff() budget.Backoff {
	return budget.Backoff{Base: e.settings.RetryPeriod / 10, Max: e.settings.RetryPeriod}
}

// drain lets no term and no use of the present one begin, and waits for the
// uses under way. It reports whether they have all ended.
func (e *Election) drain() bool {
	e.mu.Lock()
	e.closing = true
	t := e.term
	e.mu.Unlock()
	if t == nil {
		return true
	}
	patience := time.NewTimer(e.settings.RenewDeadline)
	defer patience.Stop()
	select {
	case <-t.close():
		return true
	case <-patience.C:
		return false
	}
}

// holds reports whether this process holds the Lease in a state that was read.
func (e *Election) holds(lease *coordinationv1.Lease) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return holder(lease) == e.settings.Identity && e.sent(lease)
}

// giveUp ends the term and, if it is idle, releases the lease.
func (e *Election) giveUp(ctx context.Context, idle bool) {
	e.mu.Lock()
	t := e.term
	e.mu.Unlock()
	if t == nil {
		return
	}
	t.end(errClosing)
	if !idle {
		e.log.Info("Left the lease to run out: something is still being done in the term")
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.settings.RenewDeadline, cause.OperationDeadline.With("release the lease"))
	defer cancel()
	err := release(ctx, e.client, e.settings.Name, e.holds, e.now().wall)
	switch {
	case err == nil:
		e.log.Info("Released the lease")
	case errors.Is(err, errNotHeld), apierrors.IsNotFound(err):
	default:
		e.log.Error(err, "Left the lease to run out")
	}
}
