package fence

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
)

const exec = "/api/v1/namespaces/default/pods/p/exec"

// echo is a server of streams that sends back what it is sent, and tells when a
// stream has ended, and how.
func echo(t *testing.T) (server *httptest.Server, ends <-chan error) {
	t.Helper()
	ended := make(chan error, 1)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "test")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, early, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, err = io.Copy(c, early)
		ended <- err
	}))
	t.Cleanup(server.Close)
	return server, ended
}

// open opens a stream and sees that it works.
func (b *bench) open(ctx context.Context, t *testing.T) io.ReadWriteCloser {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+exec, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "test")
	response, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	s, ok := response.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("status %d, and no stream", response.StatusCode)
	}
	if _, err := io.WriteString(s, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(s).ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("%q came back, %v", line, err)
	}
	return s
}

func TestAStreamEndsWithWhatItIsAUseOf(t *testing.T) {
	for name, transport := range map[string]http.RoundTripper{"on connections of the fence's own": nil, "on a ready-made transport": &http.Transport{}} {
		t.Run(name, func(t *testing.T) {
			server, ends := echo(t)
			b := &bench{url: server.URL}
			fenced, err := Config(&rest.Config{Host: server.URL, Transport: transport}, b.present)
			if err != nil {
				t.Fatal(err)
			}
			if b.client, err = rest.HTTPClientFor(fenced); err != nil {
				t.Fatal(err)
			}
			p := newPass(t)
			b.give(p)
			ended := func(what string, s io.ReadWriteCloser) {
				t.Helper()
				select {
				case err := <-ends: // the server's side, in any case
					t.Logf("%s: the server reads: %v", what, err)
				case <-time.After(10 * time.Second):
					t.Fatalf("%s: the stream goes on", what)
				}
				if _, err := s.Read(make([]byte, 1)); err == nil {
					t.Errorf("%s: the stream goes on", what)
				}
			}

			closed := b.open(t.Context(), t)
			if p.uses.Load() != 1 {
				t.Error("a stream is no use of the permission")
			}
			if err := closed.Close(); err != nil {
				t.Error(err)
			}
			if p.uses.Load() != 0 {
				t.Error("a closed stream is a use of the permission")
			}
			ended("closed", closed)

			ctx, hangUp := context.WithCancel(t.Context())
			left := b.open(ctx, t)
			hangUp()
			ended("its context over", left)

			late := b.open(t.Context(), t)
			p.expired.Store(true) // and nobody has noticed
			if n, err := io.WriteString(late, "more"); n != 0 || !errors.Is(err, errExpired) {
				t.Errorf("wrote %d bytes after the permission, %v", n, err)
			}
			ended("expired", late)
			p.expired.Store(false)

			last := b.open(t.Context(), t)
			p.end(errOver)
			ended("over", last)
			if n, err := io.WriteString(last, "more"); n != 0 || !errors.Is(err, errOver) {
				t.Errorf("wrote %d bytes after the permission, %v", n, err)
			}
		})
	}
}

// What waits in its connection must not be sent later either.
func TestAStreamHasAConnectionOfThePermission(t *testing.T) {
	server, _ := echo(t)
	dialed := 0
	b := &bench{url: server.URL}
	cfg := &rest.Config{Host: server.URL}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		dialed++
		return c, err
	}
	fenced, err := Config(cfg, b.present)
	if err != nil {
		t.Fatal(err)
	}
	if b.client, err = rest.HTTPClientFor(fenced); err != nil {
		t.Fatal(err)
	}
	p := newPass(t)
	b.give(p)
	s := b.open(t.Context(), t)
	defer s.Close()
	below := s.(*stream).ReadWriteCloser
	p.expired.Store(true)
	if _, err := io.WriteString(below, "more"); !errors.Is(err, errExpired) {
		t.Errorf("the connection does not ask: %v", err)
	}
	if dialed != 1 {
		t.Errorf("dialed %d times", dialed)
	}
}

// As of what opens streams for client-go, which keeps its connection to itself.
func TestAStreamThatCannotBeCutNeedsAContextThatIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPass(t)
		var b bench
		b.give(p)
		reached := 0
		below := roundTripper(func(*http.Request) (*http.Response, error) {
			reached++
			return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: http.NoBody}, nil
		})
		fence := &transport{next: below, source: b.present}
		open := func(ctx context.Context) error {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, exec, nil)
			r.Header.Set("X-Stream-Protocol-Version", "v5.channel.k8s.io")
			response, err := fence.RoundTrip(r)
			if err != nil {
				return err
			}
			return response.Body.Close()
		}
		joined, leave, err := p.Join(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, ctx := range map[string]context.Context{"of no use": t.Context(), "detached": context.WithoutCancel(joined)} {
			var refused *RefusedError
			if err := open(ctx); !errors.As(err, &refused) || !errors.Is(err, errEndless) || reached != 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := open(joined); err != nil || reached != 1 {
			t.Errorf("of a use: %v", err)
		}
		if uses := p.uses.Load(); uses != 2 {
			t.Errorf("%d uses: the stream is none", uses)
		}
		leave()
		if synctest.Wait(); p.uses.Load() != 0 {
			t.Error("the stream outlives the use that it is made in")
		}
	})
}
