package lag

import (
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apipath"
)

// Proxy is an API server whose watches are late. It speaks HTTP/2 and TLS as the
// one behind it does, on the loopback interface.
//
// It does not pass requests on that upgrade the connection, such as exec: they are
// answered with 501. An API server that cannot be reached looks like a connection
// that breaks.
type Proxy struct {
	server *httptest.Server
	config *rest.Config
	root   string // under which the API server serves

	mu       sync.Mutex
	all      time.Duration // the delay of a resource that has none of its own
	delays   map[schema.GroupResource]time.Duration
	holds    map[*hold]bool
	streams  map[*stream]schema.GroupResource
	requests map[Request]int
}

// hold is one call of Hold.
type hold struct{ resources []schema.GroupResource }

// Request is what can be asked about a resource, by Kubernetes' names.
type Request struct {
	Verb        string
	Resource    schema.GroupResource
	Subresource string
}

// New starts a Proxy in front of the API server that cfg connects to. Nothing is
// late before it is asked for.
func New(cfg *rest.Config) (*Proxy, error) {
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("lag: %w", err)
	}
	own, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("lag: %w", err)
	}
	foreign, err := rest.TransportFor(rest.AnonymousClientConfig(cfg))
	if err != nil {
		return nil, fmt.Errorf("lag: %w", err)
	}
	p := &Proxy{
		root:     base.Path,
		delays:   map[schema.GroupResource]time.Duration{},
		holds:    map[*hold]bool{},
		streams:  map[*stream]schema.GroupResource{},
		requests: map[Request]int{},
	}
	token := rand.Text()
	trusted, others := p.forward(base, own, true), p.forward(base, foreign, false)
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.count(r)
		switch {
		case r.Header.Get("Upgrade") != "":
			http.Error(w, "the lag proxy upgrades no connections", http.StatusNotImplemented)
		case r.Header.Get("Authorization") == "Bearer "+token:
			trusted.ServeHTTP(w, r)
		default: // the API server judges credentials that are not of the Config
			others.ServeHTTP(w, r)
		}
	}))
	p.server.EnableHTTP2 = true
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.StartTLS()

	p.config = rest.AnonymousClientConfig(cfg)
	p.config.Host = p.server.URL
	p.config.Dial, p.config.Proxy = nil, nil
	p.config.BearerToken = token
	p.config.TLSClientConfig = rest.TLSClientConfig{
		CAData:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}),
		NextProtos: cfg.NextProtos,
	}
	return p, nil
}

// forward passes requests on to the API server at base. With authorized, their
// credentials are the transport's.
func (p *Proxy) forward(base *url.URL, transport http.RoundTripper, authorized bool) http.Handler {
	return &httputil.ReverseProxy{
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			if authorized {
				r.Out.Header.Del("Authorization")
			}
		},
		ModifyResponse: p.makeLate,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}

// makeLate puts the answer to a watch behind a stream.
func (p *Proxy) makeLate(response *http.Response) error {
	asked, ok := requestOf(response.Request, p.root)
	if !ok || asked.Verb != "watch" || response.StatusCode != http.StatusOK {
		return nil
	}
	s := newStream(response.Request.Context(), response.Body, func() lateness { return p.lateness(asked.Resource) })
	p.mu.Lock()
	p.streams[s] = asked.Resource
	p.mu.Unlock()
	response.Body = watched{s, p}
	return nil
}

// watched is a stream that its proxy knows of until it is closed.
type watched struct {
	*stream
	proxy *Proxy
}

// Close implements io.Closer.
func (w watched) Close() error {
	w.proxy.mu.Lock()
	delete(w.proxy.streams, w.stream)
	w.proxy.mu.Unlock()
	return w.stream.Close()
}

func (p *Proxy) lateness(resource schema.GroupResource) lateness {
	p.mu.Lock()
	defer p.mu.Unlock()
	late := lateness{delay: p.all}
	if delay, ok := p.delays[resource]; ok {
		late.delay = delay
	}
	for h := range p.holds {
		late.held = late.held || concerns(h.resources, resource)
	}
	return late
}

// concerns reports whether the resource is one of those named; all are if none is.
func concerns(named []schema.GroupResource, resource schema.GroupResource) bool {
	return len(named) == 0 || slices.Contains(named, resource)
}

// each calls f for the streams of the resources named.
func (p *Proxy) each(named []schema.GroupResource, f func(*stream)) {
	p.mu.Lock()
	streams := maps.Clone(p.streams)
	p.mu.Unlock()
	for s, resource := range streams {
		if concerns(named, resource) {
			f(s)
		}
	}
}

// Config returns a copy of the configuration of a client of this proxy. It holds
// none of the credentials that the proxy itself uses.
func (p *Proxy) Config() *rest.Config { return rest.CopyConfig(p.config) }

// Delay has everything that a watch of the resources named brings from now on, or
// has brought and not yet passed on, come so much later. If none is named, it is
// for all that have no delay of their own.
func (p *Proxy) Delay(d time.Duration, resources ...schema.GroupResource) {
	p.mu.Lock()
	if len(resources) == 0 {
		p.all = d
	}
	for _, resource := range resources {
		p.delays[resource] = d
	}
	p.mu.Unlock()
	p.each(resources, (*stream).look)
}

// Hold has nothing come from the watches of the resources named, of all if none is
// named, until release is called. A watch that begins meanwhile is answered, and
// brings nothing.
func (p *Proxy) Hold(resources ...schema.GroupResource) (release func()) {
	h := &hold{resources}
	p.mu.Lock()
	p.holds[h] = true
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		delete(p.holds, h)
		p.mu.Unlock()
		p.each(resources, (*stream).look)
	}
}

// Cut ends the watches of the resources named, of all if none is named, in good
// order, as an API server does when their time is up. What they have not yet
// passed on is lost to them.
func (p *Proxy) Cut(resources ...schema.GroupResource) { p.each(resources, (*stream).end) }

// Requests returns how often what has been asked. Requests that are about no
// resource are not counted.
func (p *Proxy) Requests() map[Request]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.requests)
}

func (p *Proxy) count(r *http.Request) {
	if asked, ok := requestOf(r, ""); ok {
		p.mu.Lock()
		p.requests[asked]++
		p.mu.Unlock()
	}
}

// Close breaks what is open and serves no more.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// requestOf reads a request to an API server served under root. It returns false
// for one that is about no resource.
func requestOf(r *http.Request, root string) (Request, bool) {
	path := apipath.Parse(r.URL.Path, root)
	asked := Request{Resource: schema.GroupResource{Group: path.Group, Resource: path.Resource}, Subresource: path.Subresource}
	one := path.Name != ""
	switch r.Method {
	case http.MethodGet:
		asked.Verb = "list"
		if watch := r.URL.Query()["watch"]; len(watch) > 0 && watch[0] != "false" && watch[0] != "0" {
			asked.Verb = "watch"
		} else if one {
			asked.Verb = "get"
		}
	case http.MethodPost:
		asked.Verb = "create"
	case http.MethodPut:
		asked.Verb = "update"
	case http.MethodPatch:
		asked.Verb = "patch"
	case http.MethodDelete:
		asked.Verb = "deletecollection"
		if one {
			asked.Verb = "delete"
		}
	default:
		return Request{}, false
	}
	return asked, path.Resource != ""
}
