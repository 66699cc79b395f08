package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// What Settings have where they do not say.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultAttempt     = 10 * time.Second
	DefaultConnections = 16
	DefaultMaxAnswer   = 4 << 20
)

// Settings describe the calls to one service. The zero value of each field but
// the name has a meaning; no time and no size is unlimited.
type Settings struct {
	// Call is the budget of one call. Its name says who is called and begins the
	// errors. Timeout is the time for everything, redirects included, 0 for
	// DefaultTimeout; Attempt is that for one attempt, 0 for DefaultAttempt or
	// Timeout if that is less; the zero Backoff repeats nothing.
	Call budget.Operation
	// Connections is the greatest number of connections to one host, 0 for
	// DefaultConnections; a call waits for one as long as its budget lasts. gRPC
	// has one connection for all calls.
	Connections int
	// Hosts are the only hosts that an HTTP client calls, without ports; none means any.
	Hosts []string
	// Networks are those beside the public addresses to which an HTTP client connects:
	// private, loopback and link-local addresses are refused unless they are named here.
	// What counts is the address that a name is resolved to when the connection is made,
	// or that of the proxy where the environment names one: what lies behind it is for
	// the proxy to refuse.
	Networks []netip.Prefix
	// Redirects is how many redirects an HTTP client follows, to the same scheme, host
	// and port only. Other than that the answer that leads elsewhere is the caller's.
	Redirects int
	// MaxAnswer is the greatest size of an answer in bytes, of each message with
	// gRPC; 0 for DefaultMaxAnswer.
	MaxAnswer int
	// Announce tells an HTTP server how long its answer is waited for, as
	// [Announcement]. gRPC always tells.
	Announce bool
	// TLS is how servers are verified and what is shown to them, nil for the
	// system's authorities and nothing.
	TLS *tls.Config
	// Join, if it is set, ties calls that may change something to more than their
	// context, and is called when they begin: leader.Join ties them to the
	// leadership term.
	Join func(context.Context) (context.Context, context.CancelFunc, error)
	// Transport carries the HTTP attempts in the place of the network: for tests.
	Transport http.RoundTripper
}

// complete fills in what s does not say, or tells what cannot be meant.
func (s Settings) complete() (Settings, error) {
	if s.Call.Name == "" {
		return s, errors.New("outbound: the settings have no name: say in Call.Name who is called")
	}
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"Call.Timeout", int64(s.Call.Timeout)},
		{"Call.Attempt", int64(s.Call.Attempt)},
		{"Connections", int64(s.Connections)},
		{"MaxAnswer", int64(s.MaxAnswer)},
		{"Redirects", int64(s.Redirects)},
	} {
		if limit.value < 0 {
			return s, fmt.Errorf("outbound: %s: %s is negative: nothing is unlimited", s.Call.Name, limit.name)
		}
	}
	if s.Call.Timeout == 0 {
		s.Call.Timeout = DefaultTimeout
	}
	if s.Call.Attempt == 0 {
		s.Call.Attempt = min(DefaultAttempt, s.Call.Timeout)
	}
	if s.Call.Attempt > s.Call.Timeout {
		return s, fmt.Errorf("outbound: %s: an attempt of %s is longer than the whole call of %s", s.Call.Name, s.Call.Attempt, s.Call.Timeout)
	}
	if s.Connections == 0 {
		s.Connections = DefaultConnections
	}
	if s.MaxAnswer == 0 {
		s.MaxAnswer = DefaultMaxAnswer
	}
	if s.Join == nil {
		s.Join = free
	}
	return s, nil
}

// free ties to nothing.
func free(ctx context.Context) (context.Context, context.CancelFunc, error) {
	return ctx, func() {}, nil
}

// begin returns the context of a call that must be over at the deadline.
func (s *Settings) begin(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	return context.WithDeadlineCause(ctx, deadline, cause.OperationDeadline.With(s.Call.Name+", "+s.Call.Timeout.String()))
}

// attempts is how a call under begin's context is made: once if it cannot be
// repeated safely.
func (s *Settings) attempts(repeatable bool) budget.Operation {
	o := s.Call
	o.Timeout = 0 // begin's context has it
	if o.Attempt >= s.Call.Timeout {
		o.Attempt = 0 // and this is no limit then
	}
	if !repeatable {
		o.Backoff = budget.Backoff{}
	}
	return o
}

// named says whose call failed.
func named(name string, err error) error { return fmt.Errorf("%s: %w", name, err) }

type countKey struct{}

// Counting returns a context that counts the attempts of the calls under it.
func Counting(ctx context.Context) (context.Context, *atomic.Int32) {
	count := new(atomic.Int32)
	return context.WithValue(ctx, countKey{}, count), count
}

// count notes an attempt.
func count(ctx context.Context) {
	if n, ok := ctx.Value(countKey{}).(*atomic.Int32); ok {
		n.Add(1)
	}
}
