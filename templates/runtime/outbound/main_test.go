package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/goleak"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

func TestMain(m *testing.M) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var bank = Settings{Call: budget.Operation{
	Name: "bank", Timeout: 10 * time.Second, Attempt: 2 * time.Second,
	Backoff: budget.Backoff{Attempts: 4, Base: 100 * time.Millisecond, Max: time.Second},
}, Networks: loopback}

// loopback is where the servers of tests are.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// inMemory returns a client that calls handler over connections in memory, in a
// synctest bubble.
func inMemory(t *testing.T, s Settings, handler http.HandlerFunc) *http.Client {
	t.Helper()
	s, err := s.complete()
	if err != nil {
		t.Fatal(err)
	}
	network, listener := s.wire(), newPipes()
	network.DialContext = listener.dial
	s.Transport = network
	var handlers sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		handler(w, r)
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	client := client(t, s)
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		synctest.Wait()
		handlers.Wait()
	})
	return client
}

func client(t *testing.T, s Settings) *http.Client {
	t.Helper()
	c, err := HTTP(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pipes is a network in memory.
type pipes struct {
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
	dialed atomic.Int32
}

func newPipes() *pipes { return &pipes{calls: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.dialed.Add(1)
	here, there := net.Pipe()
	select {
	case p.calls <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.calls:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func request(ctx context.Context, t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://bank/payments", body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
