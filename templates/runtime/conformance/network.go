//go:build integration

package conformance

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// Network stands between an operator and the API server. It can cut
// connections, refuse new ones, answer watches with 410, and it counts lists
// and watches. The zero value lets everything pass.
type Network struct {
	refused atomic.Bool

	mu      sync.Mutex
	conns   map[net.Conn]bool
	traffic map[schema.GroupVersionResource]*Traffic
	gone    map[schema.GroupVersionResource]int // watches still to be answered with 410
}

// Traffic is what was asked about one resource.
type Traffic struct{ Lists, Watches int }

// Through returns a copy of config whose connections pass through n.
func (n *Network) Through(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.Dial = n.dial
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{n, next} })
	return c
}

// Refuse has new connections refused, or no longer.
func (n *Network) Refuse(refused bool) { n.refused.Store(refused) }

// Cut breaks all connections.
func (n *Network) Cut(t testing.TB) {
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

// Expire has the next watch of each resource answered with 410.
func (n *Network) Expire(resources ...schema.GroupVersionResource) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone == nil {
		n.gone = map[schema.GroupVersionResource]int{}
	}
	for _, resource := range resources {
		n.gone[resource]++
	}
}

// Traffic returns what has been asked about a resource so far.
func (n *Network) Traffic(resource schema.GroupVersionResource) Traffic {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.traffic[resource]; t != nil {
		return *t
	}
	return Traffic{}
}

func (n *Network) dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	if n.refused.Load() {
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

// note counts a request and reports whether it is to be answered with 410.
func (n *Network) note(resource schema.GroupVersionResource, watch bool) (expired bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.traffic == nil {
		n.traffic = map[schema.GroupVersionResource]*Traffic{}
	}
	t := n.traffic[resource]
	if t == nil {
		t = &Traffic{}
		n.traffic[resource] = t
	}
	if !watch {
		t.Lists++
		return false
	}
	t.Watches++
	if n.gone[resource] == 0 {
		return false
	}
	n.gone[resource]--
	return true
}

// counting is the transport on which n looks at requests.
type counting struct {
	network *Network
	next    http.RoundTripper
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	resource, ok := collection(r.URL.Path)
	if r.Method != http.MethodGet || !ok || !c.network.note(resource, r.URL.Query().Has("watch")) {
		return c.next.RoundTrip(r)
	}
	const body = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old resource version"}`
	return &http.Response{
		StatusCode: http.StatusGone, Status: "410 Gone", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// collection returns the resource that the path of an API request lists.
func collection(path string) (schema.GroupVersionResource, bool) {
	var resource schema.GroupVersionResource
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case parts[0] == "apis" && len(parts) > 3:
		resource.Group, resource.Version, parts = parts[1], parts[2], parts[3:]
	case parts[0] == "api" && len(parts) > 2:
		resource.Version, parts = parts[1], parts[2:]
	default:
		return resource, false
	}
	if len(parts) == 3 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	resource.Resource = parts[0]
	return resource, len(parts) == 1
}
