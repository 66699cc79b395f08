package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Limits on what a connection may hold up.
const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = 90 * time.Second // as long as Go's clients keep a connection
	maxHeaderBytes = 64 << 10
	maxStreams     = 100              // requests at a time of one HTTP/2 connection
	pingAfter      = 15 * time.Second // without a sign of an HTTP/2 peer
)

// Server serves a handler from when it is started until what it has begun is
// answered. It is a runnable of controller-runtime's manager, for every
// replica.
type Server struct {
	// Name says what is served, in logs and errors.
	Name string
	// Listener is where; the Server closes it.
	Listener net.Listener
	// Handler is what; each of its requests must be bounded, as a [Handler] is.
	Handler http.Handler
	// Connections is how many there may be at a time, and three quarters of them of one
	// address. Idle ones give way to others, which wait to be accepted where none is
	// idle. 0 means any number.
	Connections int
	// TLS is how; nil means without.
	TLS *tls.Config
	// HTTP2 serves HTTP/2 beside HTTP/1.1, also without TLS.
	HTTP2 bool
	// Drain is how long requests in flight may still take when the server is
	// stopped: a little more than any of them has.
	Drain time.Duration

	leaving atomic.Bool
	started atomic.Bool
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (s *Server) NeedLeaderElection() bool { return false }

// Leave has callers asked, with each answer, not to come back on the same
// connection. It is for the time from when the process is asked to stop until
// it does: whoever picks a new connection finds another replica.
func (s *Server) Leave() { s.leaving.Store(true) }

// Started reports whether the server accepts connections.
func (s *Server) Started() bool { return s.started.Load() }

// Start serves until ctx ends and what is in flight then is answered. The
// contexts of requests have ctx's values but not its end; what takes longer
// than Drain is ended with cause.ShutdownEnded.
func (s *Server) Start(ctx context.Context) error {
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(cause.ShutdownEnded)
	server := s.server(base)
	served := make(chan error, 1)
	go func() { served <- s.serve(server) }()
	s.started.Store(true)
	log.FromContext(ctx).Info("Serving", "server", s.Name, "address", s.Listener.Addr().String())
	select {
	case err := <-served:
		return fmt.Errorf("%s: %w", s.Name, err)
	case <-ctx.Done():
	}
	s.Leave()
	patience, release := context.WithTimeoutCause(base, s.Drain, cause.ShutdownEnded)
	defer release()
	err := server.Shutdown(patience)
	if err == nil {
		return nil
	}
	cut(cause.ShutdownEnded)
	return errors.Join(fmt.Errorf("%s: requests in flight after %s: %w", s.Name, s.Drain, context.Cause(patience)), server.Close())
}

func (s *Server) server(base context.Context) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.HTTP2)
	protocols.SetUnencryptedHTTP2(s.HTTP2)
	return &http.Server{
		Handler:           http.HandlerFunc(s.handle),
		BaseContext:       func(net.Listener) context.Context { return base },
		TLSConfig:         s.TLS,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, WriteByteTimeout: sendTime},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
	}
}

func (s *Server) serve(server *http.Server) error {
	listener := s.Listener
	if s.Connections > 0 {
		bounded := limit(listener, s.Connections)
		listener, server.ConnState = bounded, bounded.state
	}
	if s.TLS == nil {
		return server.Serve(listener)
	}
	return server.ServeTLS(listener, "", "")
}

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	if s.leaving.Load() {
		w.Header().Set("Connection", "close") // HTTP/2 makes a GOAWAY of it
	}
	s.Handler.ServeHTTP(w, r)
}
