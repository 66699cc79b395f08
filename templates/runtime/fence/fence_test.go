package fence

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// pass is a permission that is taken away by end, or whose time runs out while
// nobody looks.
type pass struct {
	ctx     context.Context
	end     context.CancelCauseFunc
	expired atomic.Bool
	uses    atomic.Int32
	joined  func() // called when a use has joined
}

func newPass(t *testing.T) *pass {
	p := &pass{joined: func() {}}
	p.ctx, p.end = context.WithCancelCause(t.Context())
	return p
}

var (
	errOver    = errors.New("over")
	errExpired = errors.New("expired")
	errNone    = errors.New("none")
)

func (p *pass) OnEnd(f func()) func() bool { return context.AfterFunc(p.ctx, f) }

func (p *pass) Check() error {
	if p.expired.Load() {
		return errExpired
	}
	return context.Cause(p.ctx)
}

func (p *pass) Join(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := p.Check(); err != nil {
		return nil, nil, err
	}
	p.uses.Add(1)
	joined, cancel := context.WithCancelCause(context.WithValue(ctx, p, "joined"))
	stop := p.OnEnd(func() { cancel(context.Cause(p.ctx)) })
	var once sync.Once
	p.joined()
	return joined, func() { once.Do(func() { stop(); cancel(nil); p.uses.Add(-1) }) }, nil
}

func (p *pass) Joined(ctx context.Context) bool { return ctx.Value(p) != nil }

func (p *pass) Stamp(h http.Header) { h.Set("Stamped", "yes") }

// bench is a server and a client behind the fence.
type bench struct {
	client *http.Client
	url    string
	mu     sync.Mutex
	pass   *pass // nil: none is in force
	seen   []*http.Request
	// serve answers instead of 200.
	serve http.HandlerFunc
}

func (b *bench) present() (Permission, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pass == nil {
		return nil, errNone
	}
	return b.pass, nil
}

func (b *bench) give(p *pass) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pass = p
}

// requests returns what has reached the server.
func (b *bench) requests() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*http.Request(nil), b.seen...)
}

func start(t *testing.T, change ...func(*rest.Config)) *bench {
	t.Helper()
	b := &bench{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // the client has gone
		}
		b.mu.Lock()
		b.seen = append(b.seen, r)
		b.mu.Unlock()
		if b.serve != nil {
			b.serve(w, r)
		}
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that are cut
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	cfg := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
	for _, f := range change {
		f(cfg)
	}
	fenced, err := Config(cfg, b.present)
	if err != nil {
		t.Fatal(err)
	}
	if b.client, err = rest.HTTPClientFor(fenced); err != nil {
		t.Fatal(err)
	}
	b.url = server.URL
	t.Cleanup(b.client.CloseIdleConnections)
	return b
}

const widgets = "/apis/test.ctxscaffold.dev/v1/namespaces/default/widgets"

// send sends a request and reads the answer.
func (b *bench) send(ctx context.Context, method, path string) error {
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	response, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func TestWhatCountsAsAWrite(t *testing.T) {
	tests := []struct {
		method, path string
		want         effect
	}{
		{"GET", widgets, harmless},
		{"GET", widgets + "?watch=true", harmless},
		{"HEAD", widgets, harmless},
		{"OPTIONS", widgets, harmless},
		{"POST", widgets, write},
		{"PUT", widgets + "/w", write},
		{"PATCH", widgets + "/w", write},
		{"PATCH", widgets + "/w/status", write},
		{"PUT", widgets + "/w/scale", write},
		{"DELETE", widgets + "/w", write},
		{"DELETE", widgets, write},
		{"PATCH", "/apis/test.ctxscaffold.dev/v1/clusterwidgets/w/status", write},
		{"POST", widgets + "?dryRun=All", harmless},
		{"POST", widgets + "?dryRun=", write},
		{"POST", "/api/v1/namespaces", write},
		{"DELETE", "/api/v1/namespaces/default", write},
		{"PUT", "/api/v1/namespaces/default/finalize", write},
		{"POST", "/api/v1/namespaces/default/pods/p/eviction", write},
		{"POST", "/api/v1/namespaces/default/serviceaccounts/a/token", write},
		{"POST", "/apis/coordination.k8s.io/v1/namespaces/default/leases", write},
		{"POST", "/apis/authentication.k8s.io/v1/tokenreviews", harmless},
		{"POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", harmless},
		{"POST", "/apis/authentication.k8s.io/v1/somethingnew", write},
		{"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", harmless},
		{"POST", "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews", harmless},
		{"POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", harmless},
		{"POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", write},
		{"POST", "/apis/events.k8s.io/v1/namespaces/default/events", harmless},
		{"PATCH", "/apis/events.k8s.io/v1/namespaces/default/events/e", harmless},
		{"POST", "/api/v1/namespaces/default/events", harmless},
		{"DELETE", "/api/v1/namespaces/default/events/e", write},
		{"POST", "/apis/test.ctxscaffold.dev/v1/namespaces/default/events", write},
		{"GET", "/api/v1/namespaces/default/pods/p/log", harmless},
		{"GET", "/api/v1/namespaces/default/pods/p/exec", connect},
		{"POST", "/api/v1/namespaces/default/pods/p/attach", connect},
		{"GET", "/api/v1/namespaces/default/pods/p/portforward", connect},
		{"GET", "/api/v1/nodes/n/proxy/stats", connect},
		{"GET", "/version", harmless},
		{"POST", "/anything", write},
		{"POST", "/anything?dryRun=All", write},
	}
	for _, test := range tests {
		for _, root := range []string{"", "/k8s/clusters/c", "/k8s/clusters/c/"} {
			r := httptest.NewRequest(test.method, strings.TrimSuffix(root, "/")+test.path, nil)
			if got := classify(r, root); got != test.want {
				t.Errorf("%s %s under %q: %d, want %d", test.method, test.path, root, got, test.want)
			}
		}
	}
}

func TestWritesWithoutPermissionAreNotSent(t *testing.T) {
	b := start(t)
	over := newPass(t)
	over.end(errOver)
	for reason, p := range map[error]*pass{errNone: nil, errOver: over} {
		b.give(p)
		err := b.send(t.Context(), "POST", widgets)
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || !errors.Is(err, reason) || refused.Method != "POST" || refused.Path != widgets {
			t.Errorf("error %v, want a refusal: %v", err, reason)
		}
		if err := b.send(t.Context(), "GET", widgets); err != nil {
			t.Errorf("read: %v", err)
		}
		if err := b.send(t.Context(), "POST", "/apis/authentication.k8s.io/v1/tokenreviews"); err != nil {
			t.Errorf("review: %v", err)
		}
	}
	for _, r := range b.requests() {
		if r.Method == "POST" && r.URL.Path == widgets {
			t.Error("a write was sent")
		}
	}
}

// closing reports whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestARefusedRequestsBodyIsClosed(t *testing.T) {
	b := start(t)
	sent := &closing{Reader: strings.NewReader("{}")}
	r, err := http.NewRequestWithContext(t.Context(), "POST", b.url+widgets, sent)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := b.client.Transport.RoundTrip(r); err == nil {
		_ = response.Body.Close()
		t.Fatal("sent")
	}
	if !sent.closed {
		t.Error("the body is left open")
	}
}

func TestWritesArePassedOnWithPermission(t *testing.T) {
	b := start(t)
	p := newPass(t)
	b.give(p)
	for _, method := range []string{"GET", "POST"} {
		if err := b.send(t.Context(), method, widgets); err != nil {
			t.Fatal(err)
		}
	}
	read, write := b.requests()[0], b.requests()[1]
	if read.Header.Get("Stamped") != "" || write.Header.Get("Stamped") != "yes" {
		t.Error("not the write and only the write is stamped")
	}
	if read.RemoteAddr == write.RemoteAddr {
		t.Error("reads and writes share a connection")
	}
	if p.uses.Load() != 0 {
		t.Error("a use goes on after the answer was read")
	}
}

func TestTheCallersRequestIsNotChanged(t *testing.T) {
	b := start(t)
	b.give(newPass(t))
	r, err := http.NewRequestWithContext(t.Context(), "POST", b.url+widgets, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := b.client.Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if len(r.Header) != 0 {
		t.Errorf("header %v", r.Header)
	}
}

func TestAWriteUnderWayEndsWithThePermission(t *testing.T) {
	b := start(t)
	p := newPass(t)
	b.give(p)
	b.serve = func(_ http.ResponseWriter, r *http.Request) {
		p.end(errOver)
		<-r.Context().Done()
	}
	err := b.send(t.Context(), "POST", widgets)
	if !errors.Is(err, errOver) {
		t.Errorf("error %v", err)
	}
	if _, ok := errors.AsType[*RefusedError](err); ok {
		t.Error("what was sent counts as refused")
	}
	if p.uses.Load() != 0 {
		t.Error("a use goes on")
	}
}

// A process that is frozen between the look at the permission and the sending.
func TestNothingIsSentWhenTheTimeRanOutMeanwhile(t *testing.T) {
	for name, warm := range map[string]bool{"on a new connection": false, "on a connection there is": true} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			p := newPass(t)
			b.give(p)
			if warm {
				if err := b.send(t.Context(), "POST", widgets); err != nil {
					t.Fatal(err)
				}
			}
			before := len(b.requests())
			p.joined = func() { p.expired.Store(true) }
			if err := b.send(t.Context(), "POST", widgets); !errors.Is(err, errExpired) {
				t.Errorf("error %v", err)
			}
			if err := b.send(t.Context(), "GET", widgets); err != nil { // whatever was sent has arrived by now
				t.Fatal(err)
			}
			if got := b.requests(); len(got) != before+1 {
				t.Errorf("%d requests arrived", len(got)-before)
			}
		})
	}
}

func TestTheNextPermissionHasConnectionsOfItsOwn(t *testing.T) {
	b := start(t)
	var addresses []string
	for range 3 {
		p := newPass(t)
		b.give(p)
		for range 2 {
			if err := b.send(t.Context(), "POST", widgets); err != nil {
				t.Fatal(err)
			}
		}
		p.end(errOver)
	}
	for _, r := range b.requests() {
		addresses = append(addresses, r.RemoteAddr)
	}
	for i, address := range addresses {
		if same := i%2 == 1; same != (i > 0 && address == addresses[i-1]) {
			t.Errorf("connections %v", addresses)
		}
	}
}

// What a peer that does not read has not been sent yet must not be sent later.
func TestWhatWaitsInTheConnectionIsThrownAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := newPass(t)
	var b bench
	b.give(p)
	var dialed net.Conn
	cfg := &rest.Config{Host: "http://" + listener.Addr().String()}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		dialed = c
		return c, err
	}
	fenced, err := Config(cfg, b.present)
	if err != nil {
		t.Fatal(err)
	}
	if b.client, err = rest.HTTPClientFor(fenced); err != nil {
		t.Fatal(err)
	}
	b.url = cfg.Host
	failed := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), "POST", b.url+widgets, io.LimitReader(zeros{}, 64<<20))
		if err != nil {
			failed <- err
			return
		}
		response, err := b.client.Do(r)
		if err == nil {
			err = errors.New("answered")
			_ = response.Body.Close()
		}
		failed <- err
	}()
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	head := make([]byte, 1)
	if _, err := io.ReadFull(peer, head); err != nil { // the request is on its way, and gets stuck
		t.Fatal(err)
	}
	p.end(errOver)
	if err := <-failed; !errors.Is(err, errOver) {
		t.Errorf("error %v", err)
	}
	_ = peer.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, peer); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer's connection ended with %v, want a reset", err)
	}
	if dialed == nil {
		t.Error("the config's own Dial is not used")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestConfigSaysWhatItCannotUse(t *testing.T) {
	for name, cfg := range map[string]*rest.Config{
		"host":      {Host: "http://[::1"},
		"transport": {Host: "https://h", TLSClientConfig: rest.TLSClientConfig{CAFile: "/does/not/exist"}},
	} {
		if _, err := Config(cfg, nil); err == nil || !strings.HasPrefix(err.Error(), "fence: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// As client-go takes it.
func TestTheHostMayLackAScheme(t *testing.T) {
	var b bench
	fenced, err := Config(&rest.Config{Host: "127.0.0.1:1"}, b.present)
	if err != nil {
		t.Fatal(err)
	}
	if b.client, err = rest.HTTPClientFor(fenced); err != nil {
		t.Fatal(err)
	}
	b.url = "http://127.0.0.1:1"
	if err := b.send(t.Context(), "POST", widgets); !errors.Is(err, errNone) {
		t.Errorf("error %v", err)
	}
}

func TestTheConfigGivenIsNotChanged(t *testing.T) {
	cfg := &rest.Config{Host: "http://127.0.0.1:1"}
	var b bench
	fenced, err := Config(cfg, b.present)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.WrapTransport != nil || cfg.Dial != nil || fenced.Dial != nil {
		t.Error("changed")
	}
	if got := fmt.Sprint(&RefusedError{"POST", "/x", errNone}); got != "POST /x refused: none" {
		t.Errorf("message %q", got)
	}
}
