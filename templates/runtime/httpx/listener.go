package httpx

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// limited is a listener of which so many connections are open at a time. Where there are
// as many, the one that is idle for the longest gives way; where none is idle the next
// waits to be accepted. No address has more than three quarters of them: what it wants
// beyond that takes the place of an idle one of its own, or is closed.
type limited struct {
	net.Listener
	most, each int

	mu      sync.Mutex
	changed *sync.Cond
	open    int
	by      map[string]int // open ones, by address
	idle    *list.List     // of *conn, the longest idle first
	closed  bool
}

func limit(l net.Listener, most int) *limited {
	x := &limited{Listener: l, most: most, each: most - most/4, by: map[string]int{}, idle: list.New()}
	x.changed = sync.NewCond(&x.mu)
	return x
}

// conn is an open connection.
type conn struct {
	net.Conn
	listener *limited
	address  string
	place    *list.Element // among the idle ones
	gone     bool
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if accepted := l.admit(c); accepted != nil {
			return accepted, nil
		}
		_ = c.Close() // whoever wants too many cannot be told
	}
}

// admit makes room for c, or returns nil if it shall have none.
func (l *limited) admit(c net.Conn) net.Conn {
	address := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed {
		switch {
		case l.each < l.most && l.by[address] >= l.each:
			if !l.evict(address) {
				return nil
			}
		case l.open >= l.most:
			if !l.evict("") {
				l.changed.Wait()
			}
		default:
			l.open++
			l.by[address]++
			return &conn{Conn: c, listener: l, address: address}
		}
	}
	return nil
}

// evict closes the connection that is idle for the longest, of an address if one is
// given. It returns false if there is none.
func (l *limited) evict(address string) bool {
	for e := l.idle.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*conn); address == "" || c.address == address {
			l.forget(c)
			_ = c.Conn.Close()
			return true
		}
	}
	return false
}

// forget counts a connection no more.
func (l *limited) forget(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	c.busy()
	l.open--
	if l.by[c.address]--; l.by[c.address] == 0 {
		delete(l.by, c.address)
	}
	l.changed.Broadcast()
}

// busy takes a connection from among the idle ones.
func (c *conn) busy() {
	if c.place != nil {
		c.listener.idle.Remove(c.place)
		c.place = nil
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.forget(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}

// state is told by http.Server what a connection does.
func (l *limited) state(of net.Conn, now http.ConnState) {
	if encrypted, ok := of.(*tls.Conn); ok {
		of = encrypted.NetConn()
	}
	c, ok := of.(*conn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.busy()
	if now == http.StateIdle && !c.gone {
		c.place = l.idle.PushBack(c)
		l.changed.Broadcast()
	}
}
