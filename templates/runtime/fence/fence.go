package fence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apipath"
)

// Permission is leave to write for a while. Its methods are called from many
// goroutines.
type Permission interface {
	// OnEnd has f called, in a goroutine of its own, when the permission ends. The
	// returned function takes that back and reports whether it could.
	OnEnd(f func()) (stop func() bool)
	// Check returns nil if the permission is in force at this very moment, else
	// why not. It is cheap.
	Check() error
	// Join ties one use to the permission: the returned context is ctx, but also
	// ends with the permission. It fails with the reason if the permission is
	// over. The returned function says that the use is over; it may be called
	// more than once.
	Join(ctx context.Context) (context.Context, context.CancelFunc, error)
	// Joined reports whether ctx is that of a use of the permission, and so ends
	// with it.
	Joined(ctx context.Context) bool
	// Stamp adds what the API server is to be told of the permission to the
	// header of a write.
	Stamp(header http.Header)
}

// Source returns the permission that is in force, or why there is none.
type Source func() (Permission, error)

// RefusedError is the error of a write that was not sent.
type RefusedError struct {
	// Method and Path are those of the HTTP request.
	Method, Path string
	// Reason is why there was no permission.
	Reason error
}

// Error says what was refused and why.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s %s refused: %v", e.Method, e.Path, e.Reason)
}

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Reason }

// Config returns a copy of cfg whose clients write only with a permission from
// source. Settings of cfg that are changed later are without effect on it. It
// fails if no transport can be made from cfg.
func Config(cfg *rest.Config, source Source) (*rest.Config, error) {
	root, err := apipath.Root(cfg)
	if err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	lane, err := newLane(cfg)
	if err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	fenced := rest.CopyConfig(cfg)
	fenced.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &transport{next: next, lane: lane, source: source, root: root}
	})
	return fenced, nil
}

// transport is the fence in the way of one client's requests.
type transport struct {
	next   http.RoundTripper // for what needs no permission
	lane   *lane             // for what does, nil where that has to share next
	source Source
	root   string // path under which the API server is served
}

var _ utilnet.RoundTripperWrapper = (*transport)(nil)

// WrappedRoundTripper lets client-go find the TLS settings below.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	effect := classify(r, t.root)
	if effect == harmless {
		return t.next.RoundTrip(r)
	}
	permission, err := t.source()
	if err != nil {
		return nil, refuse(r, err)
	}
	hidden := effect == connect && upgrades(r) && !visible(t.next)
	if hidden && (r.Context().Done() == nil || !permission.Joined(r.Context())) {
		return nil, refuse(r, errEndless)
	}
	ctx, done, err := permission.Join(r.Context())
	if err != nil {
		return nil, refuse(r, err)
	}
	response, err := t.send(r.Clone(ctx), hidden, permission) // a RoundTripper must not change what it is given
	if err != nil {
		done()
		if why := permission.Check(); why != nil {
			err = fmt.Errorf("%w: %w", why, err)
		}
		return nil, err
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		response.Body = streaming(ctx, response.Body, permission, done)
		return response, nil
	}
	response.Body = &body{ReadCloser: response.Body, done: done}
	return response, nil
}

// errEndless is why a stream is not opened that would go on without permission.
var errEndless = errors.New("nothing but its context can end the stream, so that has to end with the permission: " +
	"open it with the context of a pass, or with one that leader.Join returned")

// visible reports whether the connections of a transport can be seen, and so cut.
// What opens streams for client-go dials by itself, below the fence.
func visible(t http.RoundTripper) bool {
	for {
		switch below := t.(type) {
		case *http.Transport:
			return true
		case utilnet.RoundTripperWrapper:
			t = below.WrappedRoundTripper()
		default:
			return false
		}
	}
}

// send sends a request that has joined the permission.
func (t *transport) send(r *http.Request, hidden bool, permission Permission) (*http.Response, error) {
	permission.Stamp(r.Header)
	if t.lane == nil || hidden {
		return t.next.RoundTrip(r)
	}
	lane, err := t.lane.of(permission)
	if err != nil {
		return nil, err
	}
	return lane.RoundTrip(r)
}

// refuse ends a request that is not sent. A RoundTripper closes the body in
// any case.
func refuse(r *http.Request, why error) error {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return &RefusedError{Method: r.Method, Path: r.URL.Path, Reason: why}
}

// body tells when a response has been read: its context must last until then.
type body struct {
	io.ReadCloser
	done context.CancelFunc
	once sync.Once
}

// Close implements io.Closer.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.done)
	return err
}
