package fence

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// lane is the way writes take: connections that carry nothing else and belong
// to one permission.
type lane struct {
	config *rest.Config
	dial   func(ctx context.Context, network, address string) (net.Conn, error)

	mu         sync.Mutex
	permission Permission // whose transport it is
	transport  http.RoundTripper
}

// newLane returns the lane for the writes of cfg's clients, nil if cfg brings a
// ready-made transport, of which there cannot be two. The fence then rests on
// the look at the permission when a request is sent.
func newLane(cfg *rest.Config) (*lane, error) {
	if cfg.Transport != nil {
		return nil, nil
	}
	l := &lane{config: rest.CopyConfig(cfg), dial: cfg.Dial}
	if l.dial == nil {
		l.dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	if l.config.Proxy == nil {
		// Also, client-go keeps no transport of such a config, so that those of
		// past permissions go.
		l.config.Proxy = http.ProxyFromEnvironment
	}
	if _, err := rest.TransportFor(l.config); err != nil {
		return nil, fmt.Errorf("transport for writes: %w", err)
	}
	return l, nil
}

// of returns the transport that belongs to a permission.
func (l *lane) of(permission Permission) (http.RoundTripper, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.permission == permission {
		return l.transport, nil
	}
	own := rest.CopyConfig(l.config)
	own.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := l.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		w := &conn{Conn: c, permission: permission}
		w.unwatch = permission.OnEnd(w.cut)
		return w, nil
	}
	transport, err := rest.TransportFor(own)
	if err != nil {
		return nil, fmt.Errorf("transport for writes: %w", err)
	}
	l.permission, l.transport = permission, transport
	return transport, nil
}

// conn is a connection that carries only writes, under one permission, and is
// cut when that ends.
type conn struct {
	net.Conn
	permission Permission
	unwatch    func() bool
}

// Write asks for the permission at the last moment there is.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.permission.Check(); err != nil {
		c.cut()
		return 0, err
	}
	return c.Conn.Write(b)
}

// Close implements net.Conn. Whoever closes it because the permission ended may
// be faster than cut.
func (c *conn) Close() error {
	c.unwatch()
	if c.permission.Check() != nil {
		c.discard()
	}
	return c.Conn.Close()
}

// cut closes the connection and throws away what it has not sent yet.
func (c *conn) cut() {
	c.discard()
	_ = c.Conn.Close()
}

// discard has the next Close throw away what was not sent yet.
func (c *conn) discard() {
	if tcp, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
}
