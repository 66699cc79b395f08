package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Limits on what a connection may take or hold up. An attempt's budget, where it
// is less, comes first.
const (
	dialTime       = 5 * time.Second
	handshakeTime  = 5 * time.Second
	continueTime   = time.Second
	idleTime       = 90 * time.Second
	maxIdle        = 64 // connections to all hosts together
	maxHeaderBytes = 64 << 10
	pingAfter      = 15 * time.Second // without a sign of an HTTP/2 peer
	pingTime       = 5 * time.Second  // after which it is gone
)

// Announcement is the header that tells a server how long its answer is waited
// for, in milliseconds.
const Announcement = "X-Envoy-Expected-Rq-Timeout-Ms"

// ErrTooLarge is why an answer was not taken.
var ErrTooLarge = errors.New("the answer is larger than allowed")

// HTTP returns a client that calls as s says, and only what s says may be called; what
// may not fails with [ErrNotAllowed]. Redirects are not followed unless s allows them.
// Requests that are idempotent by
// their method, or have an Idempotency-Key, and whose body can be sent again
// (http.NewRequest sees to that for what is in memory) are repeated after a
// broken connection, an attempt that took too long, and the answers 429, 502,
// 503 and 504; not before the time that the server asks for in Retry-After. When
// there is no time or no attempt left for another one, the last answer is what
// the caller gets.
//
// The whole answer has arrived when Do returns: reading it takes no time and
// cannot fail. A request that may change something (by its method: all but GET,
// HEAD, OPTIONS and TRACE) joins what s.Join ties it to.
func HTTP(s Settings) (*http.Client, error) {
	s, err := s.complete()
	if err != nil {
		return nil, err
	}
	network := s.Transport
	if network == nil {
		network = s.wire()
	}
	return &http.Client{
		Transport:     &transport{Settings: s, network: network, traced: otelhttp.NewTransport(network)},
		CheckRedirect: s.redirect,
	}, nil
}

// wire returns the transport that makes the connections.
func (s *Settings) wire() *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            s.dialer().DialContext,
		TLSClientConfig:        s.TLS.Clone(),
		TLSHandshakeTimeout:    handshakeTime,
		ResponseHeaderTimeout:  2 * s.Call.Attempt, // the attempt has its own deadline, which comes first and says why
		ExpectContinueTimeout:  continueTime,
		IdleConnTimeout:        idleTime,
		MaxConnsPerHost:        s.Connections,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    s.Connections,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime},
	}
}

// transport makes a call of one or more attempts, each with a span of its own.
type transport struct {
	Settings
	network, traced http.RoundTripper // the same, traced on top of network
}

// CloseIdleConnections is what http.Client's method of that name calls.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.network.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if host := request.URL.Hostname(); !t.calls(host) {
		closeBody(request)
		return nil, named(t.Call.Name, fmt.Errorf("%w: %s is not in Settings.Hosts", ErrNotAllowed, host))
	}
	ctx, leave, err := t.join(request)
	if err != nil {
		closeBody(request)
		return nil, named(t.Call.Name, err)
	}
	defer leave()
	deadline := redirected(request, time.Now().Add(t.Call.Timeout))
	ctx, release := t.begin(ctx, deadline)
	defer release()

	c := &call{transport: t, request: request, deadline: deadline}
	err = t.attempts(repeatable(request)).Do(ctx, c.attempt)
	if !c.tried {
		closeBody(request)
	}
	if err != nil && (c.response == nil || ctx.Err() != nil) {
		return nil, err
	}
	return c.response, nil
}

func (t *transport) join(request *http.Request) (context.Context, context.CancelFunc, error) {
	if readOnly(request.Method) {
		return free(request.Context())
	}
	return t.Join(request.Context())
}

// call is one call in the course of its attempts.
type call struct {
	*transport
	request  *http.Request
	deadline time.Time
	tried    bool
	response *http.Response // of the last attempt, nil if that had none
}

// attempt makes one attempt. Its error, where it got an answer, is that asking
// again can help.
func (c *call) attempt(ctx context.Context) error {
	c.response = nil
	request := c.request.Clone(ctx)
	if c.tried && request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return fmt.Errorf("send the body again: %w", err)
		}
		request.Body = body
	}
	c.tried = true
	count(ctx)
	if deadline, ok := ctx.Deadline(); ok && c.Announce && request.Header.Get(Announcement) == "" {
		request.Header.Set(Announcement, strconv.FormatInt(max(time.Until(deadline).Milliseconds(), 1), 10))
	}
	response, err := c.traced.RoundTrip(request)
	if err != nil {
		return err
	}
	if err := c.receive(response); err != nil {
		return err
	}
	if late := cause.Classify(ctx, nil); !late.OK() {
		return late.Err // net/http may make an empty answer of a connection that it cuts
	}
	c.response = response
	return busy(response)
}

// receive puts the whole body in the place of the one that is still to come.
func (c *call) receive(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(c.MaxAnswer)+1))
	response.Body.Close()
	if len(body) > c.MaxAnswer {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, c.MaxAnswer)
	}
	if err != nil {
		return budget.Transient(fmt.Errorf("read the answer: %w", err))
	}
	if c.request.Method != http.MethodHead {
		response.ContentLength = int64(len(body))
	}
	response.TransferEncoding, response.Request = nil, c.request
	response.Body = &answer{*bytes.NewReader(body), c.deadline}
	return nil
}

// answer is a body that has arrived.
type answer struct {
	bytes.Reader
	deadline time.Time // of the call whose answer it is
}

func (*answer) Close() error { return nil }

// redirected is the deadline of the call that a redirect is part of, else its
// own.
func redirected(request *http.Request, own time.Time) time.Time {
	if request.Response != nil {
		if a, ok := request.Response.Body.(*answer); ok {
			return a.deadline
		}
	}
	return own
}

// busy returns an error if asking again can bring another answer.
func busy(response *http.Response) error {
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return budget.TransientAfter(fmt.Errorf("the answer is %s", response.Status), retryAfter(response.Header))
	}
	return nil
}

// retryAfter is how long the server asks to be left alone, 0 if it does not.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// repeatable reports whether a request may be sent again although it may have been
// received.
func repeatable(request *http.Request) bool {
	if request.Body != nil && request.Body != http.NoBody && request.GetBody == nil {
		return false
	}
	switch request.Method {
	case http.MethodPut, http.MethodDelete:
		return true
	}
	return readOnly(request.Method) || request.Header.Get("Idempotency-Key") != ""
}

// readOnly reports whether a method changes nothing. No method is GET.
func readOnly(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		request.Body.Close()
	}
}
