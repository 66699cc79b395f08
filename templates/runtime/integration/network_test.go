//go:build integration

package integration_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"
)

// network stands between a client and the API server. It can cut connections,
// refuse new ones, answer watches with 410, and count lists and watches of
// widgets.
type network struct {
	lists, watches atomic.Int32
	refuse         atomic.Bool
	gone           atomic.Int32 // watches still to be answered with 410

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// config returns a copy of the test's connection that passes through n.
func (n *network) config() *rest.Config {
	c := rest.CopyConfig(config)
	c.Dial = n.dial
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{n, next} })
	return c
}

func (n *network) dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	if n.refuse.Load() {
		return nil, &net.OpError{Op: "dial", Net: protocol, Err: syscall.ECONNREFUSED}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, protocol, address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		n.conns = map[net.Conn]bool{}
	}
	n.conns[conn] = true
	return conn, nil
}

// cut breaks all connections.
func (n *network) cut(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.conns) == 0 {
		t.Error("no connection to cut")
	}
	for conn := range n.conns {
		_ = conn.Close()
	}
	n.conns = nil
}

type counting struct {
	network *network
	next    http.RoundTripper
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/widgets") {
		return c.next.RoundTrip(r)
	}
	if r.URL.Query().Get("watch") == "" {
		c.network.lists.Add(1)
		return c.next.RoundTrip(r)
	}
	c.network.watches.Add(1)
	if c.network.gone.Add(-1) >= 0 {
		return answer(r, http.StatusGone, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old resource version"}`), nil
	}
	return c.next.RoundTrip(r)
}

func answer(r *http.Request, code int, body string) *http.Response {
	recorder := &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: r, ContentLength: int64(len(body)),
	}
	recorder.Body = http.NoBody
	if body != "" {
		recorder.Body = readCloser{strings.NewReader(body)}
	}
	return recorder
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
