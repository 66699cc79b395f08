package admission

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/certs"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// ConversionPath is where conversions are served, by controller-runtime's
// builder too.
const ConversionPath = "/convert"

// The largest requests, in bytes. A review of an admission holds two objects, one
// of a conversion a page of a list.
const (
	maxAdmission  = 8 << 20
	maxConversion = 128 << 20
)

// connections bounds what callers that never finish can hold up. API servers need
// a few.
const connections = 512

// drainMargin is what the server waits at its end longer than the longest request.
const drainMargin = time.Second

// Server is controller-runtime's webhook server, with its registry and its
// metrics, that serves what is registered within bounds and to the end.
type Server struct {
	webhook.Server

	settings Settings
	http     httpx.Server

	mu       sync.Mutex
	used     bool
	converts bool
	addr     string
}

var _ webhook.Server = (*Server)(nil)

// NewServer returns a server with completed settings.
func NewServer(s Settings) *Server {
	mux := http.NewServeMux()
	return &Server{
		Server:   webhook.NewServer(webhook.Options{WebhookMux: mux}),
		settings: s,
		http:     httpx.Server{Name: "webhooks", Handler: mux, HTTP2: s.HTTP2, Connections: connections, Drain: s.Longest() + drainMargin},
	}
}

// Register implements webhook.Server. The context of hook's requests has a
// deadline and a cause; see the package.
func (s *Server) Register(path string, hook http.Handler) {
	operation := observe.Admission
	bounded := &httpx.Handler{
		Next:      hook,
		Deadlines: httpx.Deadlines{Max: s.settings.MaxTimeout, Source: "--webhook-max-timeout", Margin: margin, Announced: announced},
		MaxBody:   maxAdmission,
		Fail:      fail,
	}
	if path == ConversionPath {
		bounded.Deadlines.Max, bounded.Deadlines.Source = s.settings.ConversionTimeout, "conversion, --webhook-conversion-timeout"
		bounded.MaxBody = maxConversion
		operation = observe.Conversion
	}
	s.Server.Register(path, observed(operation, path, bounded))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = true
	s.converts = s.converts || path == ConversionPath
}

// Leave has callers asked to turn to another replica. What is in flight or still
// comes is answered.
func (s *Server) Leave() { s.http.Leave() }

// Start serves until ctx ends and everything in flight is answered. With no
// address it returns at once.
func (s *Server) Start(ctx context.Context) error {
	if !s.settings.Serves() {
		log.FromContext(ctx).Info("Webhooks are registered but not served: --webhook-bind-address is not set")
		return nil
	}
	var err error
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	source := certs.Source{Folder: s.settings.CertDir, SelfSigned: s.settings.SelfSigned}
	if s.http.TLS, err = source.Serving(ctx, &watching); err != nil {
		return fmt.Errorf("webhooks: the certificate of --webhook-cert-dir (or --webhook-self-signed): %w", err)
	}
	if s.http.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.settings.BindAddress); err != nil {
		return fmt.Errorf("webhooks: --webhook-bind-address: %w", err)
	}
	s.mu.Lock()
	s.addr = s.http.Listener.Addr().String()
	s.mu.Unlock()
	return s.http.Start(ctx)
}

// Addr is where the server listens, empty until it does.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Converts reports whether conversions are registered and served: whoever reads
// objects may need this server, this process's own caches included.
func (s *Server) Converts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.converts && s.settings.Serves()
}

// Ready is a readiness check: true while connections are accepted, and if nothing
// is to be served.
func (s *Server) Ready(*http.Request) error {
	s.mu.Lock()
	used := s.used && s.settings.Serves()
	s.mu.Unlock()
	if used && !s.http.Started() {
		return errors.New("webhooks are not served yet")
	}
	return nil
}

// StartedChecker implements webhook.Server.
func (s *Server) StartedChecker() healthz.Checker { return s.Ready }
