package httpx

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// serve starts a Server and returns its URL, what stops it, and what Start
// returns.
func serve(t *testing.T, handler http.HandlerFunc, drain time.Duration) (string, context.CancelFunc, <-chan error) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &Server{Name: "test", Listener: listener, Handler: handler, Drain: drain}
	done := make(chan error, 1)
	go func() { done <- s.Start(ctx) }()
	t.Cleanup(stop)
	return "http://" + listener.Addr().String(), stop, done
}

// get asks without keeping the connection for the next one.
func get(t *testing.T, url string) (int, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func TestWhatIsInFlightIsAnswered(t *testing.T) {
	defer goleak.VerifyNone(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	url, stop, done := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		select {
		case <-finish:
			w.WriteHeader(http.StatusTeapot)
		case <-r.Context().Done():
			t.Errorf("cut: %v", context.Cause(r.Context()))
		}
	}, time.Minute)
	answer := make(chan int, 1)
	go func() {
		code, err := get(t, url)
		if err != nil {
			t.Error(err)
		}
		answer <- code
	}()
	<-begun
	stop()
	// The server has closed its listener, so it knows that it is to stop.
	for {
		if _, err := net.DialTimeout("tcp", url[len("http://"):], time.Second); err != nil {
			break
		}
	}
	close(finish)
	if code := <-answer; code != http.StatusTeapot {
		t.Errorf("status %d", code)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatTakesTooLongIsCutWithACause(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	url, stop, done := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	}, 10*time.Millisecond)
	go func() { _, _ = get(t, url) }()
	<-begun
	stop()
	if err := <-ended; !errors.Is(err, cause.ShutdownEnded) {
		t.Errorf("cause %v", err)
	}
	if err := <-done; !errors.Is(err, cause.ShutdownEnded) {
		t.Errorf("Start() = %v", err)
	}
}

func TestCallersAreAskedToTurnElsewhere(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	header := func() string {
		w := &answer{header: http.Header{}}
		s.handle(w, nil)
		return w.header.Get("Connection")
	}
	if got := header(); got != "" {
		t.Errorf("Connection: %q before the end", got)
	}
	s.Leave()
	if got := header(); got != "close" {
		t.Errorf("Connection: %q when leaving, want close", got)
	}
}

func TestAServerThatCannotServeFails(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s := &Server{Name: "test", Listener: listener, Handler: http.NotFoundHandler()}
	if err := s.Start(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Start() = %v", err)
	}
}

// limitedTo starts a server with so many connections, whose handler answers /busy when
// it is told to, and everything else at once.
func limitedTo(t *testing.T, n int) (dial func() net.Conn, finish chan struct{}) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	finish = make(chan struct{})
	s := &Server{Name: "test", Listener: listener, Connections: n, Drain: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			_ = http.NewResponseController(w).Flush() // tells that it has begun
			<-finish
			return
		}
		w.WriteHeader(http.StatusTeapot)
	})}
	done := make(chan error, 1)
	go func() { done <- s.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func() net.Conn {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}, finish
}

// send asks for a path. The connection is idle, or busy, when begun has returned.
func send(t *testing.T, c net.Conn, path string) {
	t.Helper()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

func begun(t *testing.T, c net.Conn) error {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := c.Read(make([]byte, 1024))
	return err
}

func TestConnectionsAreLimited(t *testing.T) {
	dial, finish := limitedTo(t, 1)
	first := dial()
	send(t, first, "/busy")
	if err := begun(t, first); err != nil {
		t.Fatal(err)
	}
	second := dial()
	send(t, second, "/")
	_ = second.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the second is served beside the first (%v)", err)
	}
	close(finish)
	if err := begun(t, second); err != nil {
		t.Errorf("the second is not served after the first: %v", err)
	}
}

func TestIdleConnectionsGiveWay(t *testing.T) {
	const most = 8
	dial, finish := limitedTo(t, most)
	busy := dial()
	send(t, busy, "/busy")
	if err := begun(t, busy); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * most { // each stays open
		c := dial()
		send(t, c, "/healthz")
		if err := begun(t, c); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	close(finish)
	if err := begun(t, busy); err != nil {
		t.Errorf("what was busy was closed: %v", err)
	}
}

// from is a connection of an address, which is closed or not.
type from struct {
	net.Conn
	address string
	closed  bool
}

func (f *from) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(f.address), Port: 1234}
}
func (f *from) Close() error { f.closed = true; return nil }

func TestNoAddressHasAllConnections(t *testing.T) {
	l := limit(nil, 8)
	var greedy []net.Conn
	for range 6 {
		c := l.admit(&from{address: "10.0.0.1"})
		if c == nil {
			t.Fatal("refused within its share")
		}
		l.state(c, http.StateActive)
		greedy = append(greedy, c)
	}
	if l.admit(&from{address: "10.0.0.1"}) != nil {
		t.Error("one address has more than three quarters")
	}
	other := l.admit(&from{address: "10.0.0.2"})
	if other == nil {
		t.Fatal("another address has none")
	}
	l.state(other, http.StateIdle)
	l.state(greedy[3], http.StateIdle)
	l.state(greedy[1], http.StateIdle)
	if l.admit(&from{address: "10.0.0.1"}) == nil {
		t.Error("refused although one of its own is idle")
	}
	for i, c := range append(greedy, other) {
		if closed := c.(*conn).Conn.(*from).closed; closed != (i == 3) {
			t.Errorf("connection %d is closed: %t", i, closed)
		}
	}
	l.state(greedy[1], http.StateActive)
	_ = greedy[3].Close() // once more, by http.Server
	if l.open != 7 || l.by["10.0.0.1"] != 6 || l.idle.Len() != 1 {
		t.Errorf("%d open, %v, %d idle", l.open, l.by, l.idle.Len())
	}
}
