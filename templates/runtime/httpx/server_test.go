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

func TestConnectionsAreLimited(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &Server{Name: "test", Listener: listener, Connections: 1, Drain: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})}
	done := make(chan error, 1)
	go func() { done <- s.Start(ctx) }()
	first, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// The first is accepted when it is answered.
	if _, err := io.WriteString(first, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	second, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := io.WriteString(second, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = second.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the second is served beside the first (%v)", err)
	}
	_ = first.Close()
	_ = second.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := second.Read(make([]byte, 1)); err != nil {
		t.Errorf("the second is not served after the first: %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
