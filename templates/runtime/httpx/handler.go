package httpx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

const (
	// sendTime is how long the caller may take to accept an answer.
	sendTime = 10 * time.Second
	// patience is how long a handler may take to return after its context ended.
	// It is less than any margin, so that the answer still arrives in time.
	patience = 100 * time.Millisecond
	// linger is how long the rest of a body that is not wanted is taken, so that
	// its sender gets to read why.
	linger = 500 * time.Millisecond
)

// Handler answers requests by Next within their [Deadlines].
type Handler struct {
	// Admit refuses a request before its body is read, by what it returns; nil
	// lets it pass. It must return soon after the request's context ends.
	Admit func(*http.Request) *Failure
	// Next makes the answer. Its request's context ends with the time there is;
	// its request's body has been read already. Where it does not return soon
	// after the context ended, it is left behind and the answer is given without
	// it.
	Next http.Handler
	// Deadlines are the times.
	Deadlines Deadlines
	// MaxBody is the size of the largest body in bytes. 0 means that there is
	// none.
	MaxBody int64
	// Fail writes the answer to a request that Next did not answer, or not in
	// time, such as [Problem].
	Fail func(http.ResponseWriter, *http.Request, *Failure)
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := controller{http.NewResponseController(w)}
	limit, err := h.Deadlines.Of(r)
	if err != nil {
		h.refuse(w, r, control, &Failure{Code: http.StatusBadRequest, Err: err})
		return
	}
	ctx, release := bound(r.Context(), limit)
	defer release()
	x := &exchange{}
	r = r.WithContext(context.WithValue(ctx, exchangeKey{}, x))
	control.setWriteDeadline(time.Now().Add(max(limit.Time, 0) + sendTime))
	if failure := h.begin(control, r); failure != nil {
		h.refuse(w, r, control, failure)
		return
	}
	a := &answer{header: http.Header{}}
	h.run(a, r)
	// Where Next was left behind its context has ended, and a is still Next's.
	if failure := judge(ctx); failure != nil {
		h.fail(w, r, failure)
	} else if failure := x.abandoned(); failure != nil {
		h.fail(w, r, failure)
	} else {
		a.send(w)
	}
}

// begin admits the request and reads its body.
func (h *Handler) begin(control controller, r *http.Request) *Failure {
	if h.Admit != nil {
		failure := h.Admit(r)
		if late := judge(r.Context()); late != nil {
			return late
		}
		if failure != nil {
			return failure
		}
	}
	return h.readBody(control, r)
}

// bound returns the context of a request, which has parent's values. Where
// parent ends without a reason the caller went away.
func bound(parent context.Context, limit Limit) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		if c := cause.Of(parent); c != nil {
			end(c)
			return
		}
		end(cause.ClientGone)
	})
	ctx, release := context.WithTimeoutCause(ctx, limit.Time, limit.cause())
	return ctx, func() { stop(); release(); end(nil) }
}

// readBody puts the whole body in the place of the one that is still to come.
func (h *Handler) readBody(control controller, r *http.Request) *Failure {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	tooLarge := &Failure{Code: http.StatusRequestEntityTooLarge, Err: fmt.Errorf("the body is larger than %d bytes", h.MaxBody)}
	if r.ContentLength > h.MaxBody {
		return tooLarge
	}
	deadline, _ := r.Context().Deadline()
	control.setReadDeadline(deadline)
	body, err := io.ReadAll(io.LimitReader(r.Body, h.MaxBody+1))
	// The deadline must not stay: when it ends the watch for the caller's
	// disconnect, that looks like one.
	control.setReadDeadline(time.Time{})
	switch {
	case int64(len(body)) > h.MaxBody:
		return tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Failure{Code: http.StatusRequestTimeout, Err: fmt.Errorf("the body did not arrive: %w", cause.Classify(r.Context(), err).Err)}
	case err != nil:
		return &Failure{Code: http.StatusBadRequest, Err: fmt.Errorf("read the body: %w", err)}
	}
	r.ContentLength, r.TransferEncoding, r.Body = int64(len(body)), nil, http.NoBody
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return nil
}

// run has the answer made. A panic is a failure of this request alone.
func (h *Handler) run(a *answer, r *http.Request) {
	done := make(chan any, 1)
	go h.next(r.Context(), a, r, done)
	select {
	case v := <-done:
		abort(v)
		return
	case <-r.Context().Done():
	}
	over := time.NewTimer(patience)
	defer over.Stop()
	select {
	case v := <-done:
		abort(v)
	case <-over.C:
		log.FromContext(r.Context()).Info("Request handler goes on after its time", "path", r.URL.Path, "cause", context.Cause(r.Context()).Error())
	}
}

// next calls Next and tells done what it panicked with, nil if it did not.
func (h *Handler) next(ctx context.Context, a *answer, r *http.Request, done chan<- any) {
	defer func() {
		v := recover()
		if v != nil && v != http.ErrAbortHandler {
			log.FromContext(ctx).Error(fmt.Errorf("panic: %v", v), "Request handler panicked", "path", r.URL.Path, "stack", string(debug.Stack()))
			Abandon(ctx, &Failure{Code: http.StatusInternalServerError, Err: errors.New("internal fault")})
		}
		done <- v
	}()
	h.Next.ServeHTTP(a, r)
}

// abort goes on with the one panic that is meant for the server.
func abort(v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
}

// judge returns why what was done under ctx does not count, nil if it does.
func judge(ctx context.Context) *Failure {
	o := cause.Classify(ctx, nil)
	switch {
	case o.OK():
		return nil
	case o.Expired():
		return &Failure{Code: http.StatusGatewayTimeout, Err: o.Err}
	case errors.Is(o.Err, cause.ClientGone):
		return &Failure{Code: StatusClientClosedRequest, Err: o.Err}
	}
	return Unavailable(o.Err)
}

// refuse fails a request whose body has not been read to its end.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, control controller, f *Failure) {
	now := time.Now()
	control.setWriteDeadline(now.Add(sendTime))
	if r.Body != nil && r.Body != http.NoBody {
		w.Header().Set("Connection", "close")
		// The server goes on reading what a handler has not read.
		control.setReadDeadline(now.Add(linger))
	}
	h.fail(w, r, f)
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, f *Failure) {
	if f.Code >= http.StatusInternalServerError {
		log.FromContext(r.Context()).Info("Request failed", "path", r.URL.Path, "code", f.Code, "reason", f.Err.Error())
	}
	h.Fail(w, r, f)
}

// controller sets deadlines where the connection has them. Those of tests have
// none.
type controller struct{ *http.ResponseController }

func (c controller) setReadDeadline(t time.Time)  { _ = c.SetReadDeadline(t) }
func (c controller) setWriteDeadline(t time.Time) { _ = c.SetWriteDeadline(t) }
