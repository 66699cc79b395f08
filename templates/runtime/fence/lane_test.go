package fence

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// watched is a connection that tells when it is closed.
type watched struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *watched) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Also those that nobody uses at that moment.
func TestConnectionsEndWithThePermission(t *testing.T) {
	dialed := make(chan *watched, 1)
	b := start(t, func(cfg *rest.Config) {
		cfg.NextProtos = []string{"http/1.1"} // HTTP/2 has something to say by itself
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			c := &watched{Conn: raw, closed: make(chan struct{})}
			dialed <- c
			return c, nil
		}
	})
	p := newPass(t)
	b.give(p)
	if err := b.send(t.Context(), "POST", widgets); err != nil {
		t.Fatal(err)
	}
	c := <-dialed
	select {
	case <-c.closed:
		t.Fatal("it does not wait for the next write: this tests nothing")
	default:
	}
	p.end(errOver)
	select {
	case <-c.closed:
	case <-time.After(10 * time.Second):
		t.Error("it is still there")
	}
}
