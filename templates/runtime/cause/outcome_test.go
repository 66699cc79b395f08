package cause_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// ended returns a context that has ended for the given reason.
func ended(t *testing.T, reason error) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	return ctx
}

type namer struct{}

func (namer) Error() string       { return "look again later" }
func (namer) OutcomeName() string { return "requeue" }

func TestClassifyReadsTheContextFirst(t *testing.T) {
	failure := errors.New("boom")
	for name, err := range map[string]error{"nil": nil, "other": failure, "sentinel": context.Canceled, "cause": cause.Shutdown, "other cause": cause.OperationDeadline} {
		t.Run(name, func(t *testing.T) {
			o := cause.Classify(ended(t, cause.Shutdown), err)
			if o.Name != "shutdown" || o.Cause != cause.Shutdown || !o.Ended {
				t.Errorf("got %+v", o)
			}
			if o.OK() || !o.Interrupted() || o.Expired() {
				t.Errorf("OK %t, Interrupted %t, Expired %t", o.OK(), o.Interrupted(), o.Expired())
			}
			if !errors.Is(o.Err, cause.Shutdown) {
				t.Errorf("%v does not match the cause", o.Err)
			}
			if errors.Is(o.Err, failure) {
				t.Error("the operation's own error must be quoted only")
			}
		})
	}
	if got, want := cause.Classify(ended(t, cause.Shutdown), failure).Err.Error(), "operator is shutting down: boom"; got != want {
		t.Errorf("Err = %q, want %q", got, want)
	}
}

func TestClassifyContextsWithoutACause(t *testing.T) {
	o := cause.Classify(ended(t, nil), nil)
	if o.Name != cause.NameCanceled || !o.Interrupted() {
		t.Errorf("cancelled: got %+v", o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	if o = cause.Classify(ctx, nil); o.Name != cause.NameDeadline || !o.Expired() {
		t.Errorf("expired: got %+v", o)
	}
	foreign := errors.New("reconciliation timeout") // as controller-runtime's own, which matches nothing
	ctx, cancel = context.WithTimeoutCause(t.Context(), -1, foreign)
	defer cancel()
	if o = cause.Classify(ctx, nil); o.Name != cause.NameDeadline || !o.Expired() || !errors.Is(o.Err, foreign) {
		t.Errorf("expired with a foreign cause: got %+v", o)
	}
	if o = cause.Classify(ended(t, foreign), nil); o.Name != cause.NameCanceled || !o.Interrupted() || !errors.Is(o.Err, foreign) {
		t.Errorf("cancelled with a foreign cause: got %+v", o)
	}
}

// The outermost link sees a context that controller-runtime has cancelled
// without a cause, and an error that knows better.
func TestClassifyPrefersACauseToNone(t *testing.T) {
	expired, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	tests := map[string]struct {
		ctx  context.Context
		err  error
		want string
	}{
		"cancelled, error knows why":         {ended(t, nil), fmt.Errorf("pass: %w", cause.Shutdown), "shutdown"},
		"expired, error knows why":           {expired, cause.OperationDeadline.With("bank"), "operation_deadline"},
		"cancelled, error is of another end": {ended(t, nil), cause.OperationDeadline, cause.NameCanceled},
		"expired, error is of another end":   {expired, cause.Shutdown, cause.NameDeadline},
		"both know":                          {ended(t, cause.Superseded), cause.Shutdown, "superseded"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if o := cause.Classify(test.ctx, test.err); o.Name != test.want || o.OK() || !o.Ended {
				t.Errorf("got %+v, want %s", o, test.want)
			}
		})
	}
}

// late is a context whose deadline has passed while Err is still nil, as real
// ones are until their timer gets to run.
type late struct {
	context.Context
	done chan struct{}
	err  error
}

func (l *late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }
func (l *late) Done() <-chan struct{}       { return l.done }
func (l *late) Err() error {
	select {
	case <-l.done:
		return l.err
	default:
		return nil
	}
}

func TestClassifyCountsADeadlineThatHasPassedUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The timer of a context made by WithDeadlineCause cannot be held up in a
		// test, so the deadline is moved into the past around a live one.
		inner, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, cause.ReconcileDeadline)
		defer cancel()
		ctx := passed{inner}
		if ctx.Err() != nil {
			t.Fatal("context has ended already")
		}
		o := cause.Classify(ctx, nil)
		if o.OK() || o.Cause != cause.ReconcileDeadline || !o.Ended {
			t.Errorf("got %+v, want the cause of the timer that is about to run", o)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx := &late{Context: t.Context(), done: make(chan struct{}), err: context.DeadlineExceeded}
		start := time.Now()
		o := cause.Classify(ctx, nil)
		if o.OK() || o.Name != cause.NameDeadline || !o.Ended {
			t.Errorf("got %+v", o)
		}
		if waited := time.Since(start); waited > 100*time.Millisecond {
			t.Errorf("waited %s for a context that does not keep its deadline", waited)
		}
	})
}

// passed is a context that claims its deadline has passed.
type passed struct{ context.Context }

func (passed) Deadline() (time.Time, bool) { return time.Now(), true }

func TestClassifyReadsTheErrorOfALiveContext(t *testing.T) {
	resource := schema.GroupResource{Group: "example.com", Resource: "widgets"}
	limiter := flowcontrol.NewTokenBucketRateLimiter(0.001, 1)
	limiter.Accept()
	short, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	own := rate.NewLimiter(rate.Every(time.Hour), 1)
	own.Allow()
	limited := fmt.Errorf("client rate limiter Wait returned an error: %w", limiter.Wait(short))
	expired := map[string]bool{
		"operation_deadline": true, cause.NameDeadline: true, cause.NameClientLimiter: true, cause.NameAPITimeout: true, cause.NameTimeout: true,
	}
	tests := map[string]struct {
		err  error
		want string
	}{
		"nothing":              {nil, cause.NameOK},
		"anything":             {errors.New("boom"), cause.NameError},
		"cause of another":     {fmt.Errorf("pay: %w", cause.OperationDeadline.With("bank")), "operation_deadline"},
		"cancel of another":    {cause.ClientGone, "client_gone"},
		"deadline sentinel":    {fmt.Errorf("get: %w", context.DeadlineExceeded), cause.NameDeadline},
		"cancel sentinel":      {fmt.Errorf("get: %w", context.Canceled), cause.NameCanceled},
		"client-go limiter":    {limited, cause.NameClientLimiter},
		"limiter of one's own": {own.Wait(short), cause.NameClientLimiter},
		"conflict":             {apierrors.NewConflict(resource, "w", errors.New("changed")), cause.NameConflict},
		"API throttling":       {apierrors.NewTooManyRequests("slow down", 1), cause.NameAPIThrottled},
		"API timeout":          {apierrors.NewTimeoutError("timed out", 1), cause.NameAPITimeout},
		"API server timeout":   {apierrors.NewServerTimeout(resource, "get", 1), cause.NameAPITimeout},
		"network timeout":      {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, cause.NameTimeout},
		"named by itself":      {fmt.Errorf("wrapped: %w", namer{}), "requeue"},
		"some other API fail":  {apierrors.NewBadRequest("bad"), cause.NameError},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := cause.Classify(t.Context(), test.err)
			if o.Name != test.want {
				t.Errorf("Name = %q, want %q (error %v)", o.Name, test.want, test.err)
			}
			if !errors.Is(o.Err, test.err) || o.Ended || o.Expired() != expired[test.want] {
				t.Errorf("got %+v, expired %t", o, o.Expired())
			}
		})
	}
}

// Over HTTP/1.1 net/http's error is the cause, over HTTP/2 the bare sentinel.
func TestClassifyIsTheSameOverBothProtocols(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
			}))
			server.EnableHTTP2 = protocol == "HTTP/2.0"
			server.StartTLS()
			defer server.Close()
			for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc, *cause.Cause){
				"deadline": func(ctx context.Context) (context.Context, context.CancelFunc, *cause.Cause) {
					ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Millisecond, cause.OperationDeadline)
					return ctx, cancel, cause.OperationDeadline
				},
				"cancel": func(ctx context.Context) (context.Context, context.CancelFunc, *cause.Cause) {
					ctx, cancel := context.WithCancelCause(ctx)
					timer := time.AfterFunc(20*time.Millisecond, func() { cancel(cause.Shutdown) })
					return ctx, func() { timer.Stop(); cancel(nil) }, cause.Shutdown
				},
			} {
				t.Run(name, func(t *testing.T) {
					ctx, release, want := end(t.Context())
					defer release()
					request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
					if err != nil {
						t.Fatal(err)
					}
					response, err := server.Client().Do(request)
					if err == nil {
						_ = response.Body.Close()
						t.Fatalf("answered over %s", response.Proto)
					}
					o := cause.Classify(ctx, err)
					if o.Cause != want {
						t.Errorf("%v: got %+v, want %v", err, o, want)
					}
					sentinel := context.DeadlineExceeded
					if !want.Timeout() {
						sentinel = context.Canceled
					}
					if !errors.Is(err, sentinel) {
						t.Errorf("net/http's error %v does not match %v", err, sentinel)
					}
				})
			}
		})
	}
}
