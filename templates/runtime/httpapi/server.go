package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/certs"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
)

// Paths that are open to everybody.
const (
	HealthPath   = "/healthz"
	DocumentPath = "/openapi.json"
)

// drainMargin is what the server waits at its end longer than the longest request.
const drainMargin = time.Second

// margin is what is kept of an announced time for the way back.
var margin = httpx.Margin{Least: 200 * time.Millisecond, Share: 0.1}

// Options are what a server needs beside its settings.
type Options struct {
	// Modes stands around every handler: leader.Election's HTTP. nil means none.
	Modes func(http.Handler) http.Handler
	// Admit says who may ask; see [Reviews]. It is not asked about open paths. nil
	// means everybody, with Insecure alone.
	Admit func(*http.Request) *httpx.Failure
}

// Server is the HTTP API. It is a runnable of the manager, for every replica.
type Server struct {
	settings Settings
	options  Options
	mux      *http.ServeMux
	origins  http.CrossOriginProtection
	http     httpx.Server

	mu       sync.Mutex
	document document
	routes   map[string]route // by their patterns
	addr     string
}

// New returns a server with completed settings.
func New(s Settings, o Options) *Server {
	server := &Server{settings: s, options: o, mux: http.NewServeMux(), routes: map[string]route{}}
	server.http = httpx.Server{
		Name:        "http api",
		Handler:     server.handler(),
		Connections: s.Connections,
		Drain:       s.MaxTimeout + drainMargin,
	}
	server.mux.HandleFunc("GET "+HealthPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server.mux.HandleFunc("GET "+DocumentPath, server.describe)
	return server
}

// handler is everything that stands around what is registered, outermost first:
// the span, the bounds, the modes.
func (s *Server) handler() http.Handler {
	next := http.Handler(s.mux)
	if s.options.Modes != nil {
		next = s.options.Modes(next)
	}
	return otelhttp.NewHandler(&httpx.Handler{
		Admit: s.admit,
		Next:  next,
		Deadlines: httpx.Deadlines{
			Max: s.settings.MaxTimeout, Source: "--http-max-timeout",
			Margin: margin, Announced: httpx.Headers,
		},
		MaxBody: s.settings.MaxBody,
		Fail:    fail,
	}, "http api", s.tracing()...)
}

// admit says who may ask what. It decides by the pattern that the mux will find.
func (s *Server) admit(r *http.Request) *httpx.Failure {
	if err := clean(r.URL); err != nil {
		return badRequest(err)
	}
	if err := s.origins.Check(r); err != nil {
		return &httpx.Failure{Code: http.StatusForbidden, Err: err}
	}
	_, pattern := s.mux.Handler(r)
	found := s.found(pattern)
	switch {
	case pattern == "GET "+HealthPath, pattern == "GET "+DocumentPath:
		return nil
	case found.own && discoverable(r.URL.Path) != "":
		return &httpx.Failure{Code: http.StatusNotFound, Err: errors.New("no such path")}
	case s.settings.Insecure:
		return nil
	case s.options.Admit == nil:
		return httpx.Unavailable(errors.New("nobody says who may ask"))
	case found.access != nil:
		r = found.access.needing(r, found.path)
	}
	return s.options.Admit(r)
}

// found is the route with that pattern, the zero one if there is none.
func (s *Server) found(pattern string) route {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routes[pattern]
}

func fail(w http.ResponseWriter, r *http.Request, f *httpx.Failure) {
	if f.Code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	httpx.Problem(w, r, f)
}

// Handle has handler answer what matches pattern, a method and a path as for
// http.ServeMux. The description is an OpenAPI operation in JSON, empty for a
// route that is not described. Callers need the right to the path, as a non-resource
// URL: use [Server.HandleObject] where the path names an object. Paths that RBAC opens to
// every account by default are refused.
func (s *Server) Handle(pattern, description string, handler http.Handler) error {
	return s.handleOwn(pattern, description, nil, handler)
}

// HandleObject is Handle for a route about an object: callers need the right to that
// object, named by the wildcards {namespace} and {name} of the pattern, and none to the
// path.
func (s *Server) HandleObject(pattern, description string, needs Access, handler http.Handler) error {
	if needs.Verb == "" || needs.Resource == "" {
		return fmt.Errorf("http api: %s: the right that it needs has no verb or no resource", pattern)
	}
	return s.handleOwn(pattern, description, &needs, handler)
}

func (s *Server) handleOwn(pattern, description string, needs *Access, handler http.Handler) error {
	path, err := pathOf(pattern)
	if err != nil {
		return fmt.Errorf("http api: %s: %w", pattern, err)
	}
	if first := discoverable(path); first != "" {
		return fmt.Errorf("http api: %s: system:discovery lets every account get paths below /%s", pattern, first)
	}
	return s.handle(pattern, description, route{path: path, own: true, access: needs}, handler)
}

func (s *Server) handle(pattern, description string, what route, handler http.Handler) error {
	if err := s.document.add(pattern, description); err != nil {
		return fmt.Errorf("http api: %s: %w", pattern, err)
	}
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		span := trace.SpanFromContext(r.Context())
		span.SetName(pattern)
		span.SetAttributes(attribute.String("http.route", what.path))
		handler.ServeHTTP(w, r)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes[pattern] = what
	return nil
}

// Document makes text, an OpenAPI description in JSON, what is served at
// [DocumentPath], with the descriptions of other routes in it.
func (s *Server) Document(text []byte) error { return s.document.read(text) }

func (s *Server) describe(w http.ResponseWriter, r *http.Request) {
	text, err := s.document.text()
	if err != nil {
		httpx.Abandon(r.Context(), &httpx.Failure{Code: http.StatusInternalServerError, Err: err})
		return
	}
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(text)
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (s *Server) NeedLeaderElection() bool { return false }

// Leave has callers asked to turn to another replica. What is in flight or still
// comes is answered.
func (s *Server) Leave() { s.http.Leave() }

// Start serves until ctx ends and everything in flight is answered. Where
// nothing is registered or there is no address it returns at once.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	used := len(s.routes) > 0
	s.mu.Unlock()
	if !used || !s.settings.Serves() {
		log.FromContext(ctx).Info("The HTTP API is not served", "routes", used, "address", s.settings.BindAddress)
		return nil
	}
	var err error
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	if !s.settings.Insecure {
		source := certs.Source{Folder: s.settings.CertDir, SelfSigned: s.settings.SelfSigned}
		if s.http.TLS, err = source.Serving(ctx, &watching); err != nil {
			return fmt.Errorf("http api: the certificate of --http-cert-dir (or --http-self-signed): %w", err)
		}
	}
	if s.http.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.settings.BindAddress); err != nil {
		return fmt.Errorf("http api: --http-bind-address: %w", err)
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
