package tenant

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Limits bound what one tenant may use. A field that is 0 does not.
type Limits struct {
	// Concurrency is how many objects of one kind are worked on at a time, beside
	// the fair share of the workers.
	Concurrency int
	// Rate is how many reconciles of one kind are begun per second, after as many
	// at once.
	Rate float64
	// Budget is the time for the work of one reconcile, where that is less than
	// the kind's own.
	Budget time.Duration
	// Calls is how many calls to the outside are begun per second, after as many
	// at once, by all kinds together: each attempt of a budget.Operation, and what
	// asks by budget.Admit.
	Calls float64
}

// Quota is what a tenant is allowed.
type Quota struct {
	Limits
	// Suspended tells that nothing is done for the tenant.
	Suspended bool
	// Excluded tells that the namespace is no tenant, although it is selected.
	Excluded bool
}

// allowance is a quota, with what is made of it once.
type allowance struct {
	Quota
	overdue *cause.Cause // of work that uses up the tenant's budget
}

func allow(q Quota) *allowance {
	return &allowance{q, cause.ReconcileDeadline.With(q.Budget.String() + " for the tenant")}
}

// refuses returns why nothing is begun under the quota, nil if it is.
func (q Quota) refuses() *cause.Cause {
	switch {
	case q.Excluded:
		return errNoTenant
	case q.Suspended:
		return cause.TenantSuspended
	}
	return nil
}

// tightens reports whether the work there is must begin anew under limit.
func tightens(before, limit time.Duration) bool {
	return limit > 0 && (before == 0 || limit < before)
}

// paced returns limiter changed to perSecond: nil where there is no limit.
func paced(limiter *rate.Limiter, perSecond float64) *rate.Limiter {
	switch {
	case perSecond <= 0:
		return nil
	case limiter == nil:
		return rate.NewLimiter(rate.Limit(perSecond), burst(perSecond))
	}
	limiter.SetLimit(rate.Limit(perSecond))
	limiter.SetBurst(burst(perSecond))
	return limiter
}

// burst is how many may begin at once.
func burst(perSecond float64) int { return int(math.Ceil(perSecond)) }

// wait takes a turn of limiter and returns 0, or takes none and returns when
// there will be one.
func wait(limiter *rate.Limiter) time.Duration {
	if limiter == nil {
		return 0
	}
	now := time.Now()
	turn := limiter.ReserveN(now, 1)
	delay := turn.DelayFrom(now)
	if delay > 0 {
		turn.CancelAt(now)
	}
	return delay
}
