package httpx

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// StatusClientClosedRequest is the status of an answer that nobody waits for.
// It is only seen in metrics.
const StatusClientClosedRequest = 499

// retryAfter is when to try again what failed for a reason that passes.
const retryAfter = time.Second

// Failure is why a request has no answer of its own.
type Failure struct {
	// Code is the HTTP status.
	Code int
	// Err says what happened, to the caller too.
	Err error
	// RetryAfter is when it may be tried again; 0 says nothing about that.
	RetryAfter time.Duration
}

// Error says what happened.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// Unavailable is the failure of what may succeed a little later.
func Unavailable(err error) *Failure {
	return &Failure{Code: http.StatusServiceUnavailable, Err: err, RetryAfter: retryAfter}
}

// Unanswered returns the failure of work under ctx that ended with err because
// something it depends on did not answer: 504 where time ran out, 503 where
// trying again can help. It returns nil if err is nil or says something else.
func Unanswered(ctx context.Context, err error) *Failure {
	if err == nil {
		return nil
	}
	switch o := cause.Classify(ctx, err); {
	case o.Expired():
		return &Failure{Code: http.StatusGatewayTimeout, Err: err}
	case o.Interrupted(), budget.Retryable(err):
		return Unavailable(err)
	}
	return nil
}

// Abandon makes f the answer to the request of ctx, whatever its handler has
// written or is still going to write. The first call counts. Outside of a
// [Handler] it does nothing.
func Abandon(ctx context.Context, f *Failure) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.abandon(f)
	}
}

type exchangeKey struct{}

// exchange is what a Handler and what it calls know of one request.
type exchange struct {
	mu      sync.Mutex
	failure *Failure
}

func (x *exchange) abandon(f *Failure) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failure == nil {
		x.failure = f
	}
}

func (x *exchange) abandoned() *Failure {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failure
}
