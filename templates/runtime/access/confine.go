package access

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apipath"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/freshness"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
)

// Confine returns rt as the reconcilers of users see it: whatever client they take or make
// from it is confined to the tenant of the context. Groups are the API groups of the
// operator's own kinds. It fails if the settings contradict those of rt.
func (s Settings) Confine(rt *manager.Runtime, groups ...string) (*manager.Runtime, error) {
	p, err := s.policy()
	if err != nil {
		return nil, err
	}
	if err := s.fits(rt.Settings()); err != nil {
		return nil, err
	}
	c := &confined{}
	narrowed := rt.Through(func(m ctrl.Manager) ctrl.Manager { c.Manager = m; return c })
	return narrowed, c.connect(p, groups)
}

// confined is a manager whose clients are confined.
type confined struct {
	ctrl.Manager
	config     *rest.Config
	httpClient *http.Client
	client     client.Client
	live       client.Client
	cache      cache.Cache
}

// connect makes the confined clients.
func (c *confined) connect(p *policy, groups []string) error {
	root, err := apipath.Root(c.Manager.GetConfig())
	if err != nil {
		return fmt.Errorf("confine tenants: %w", err)
	}
	mapper := c.GetRESTMapper()
	c.config = rest.CopyConfig(c.Manager.GetConfig())
	c.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &transport{policy: p, next: next, root: root, mapper: mapper}
	})
	if c.httpClient, err = rest.HTTPClientFor(c.config); err != nil {
		return fmt.Errorf("confine tenants: %w", err)
	}
	options := client.Options{HTTPClient: c.httpClient, Scheme: c.GetScheme(), Mapper: mapper}
	if c.live, err = client.New(c.config, options); err != nil {
		return fmt.Errorf("confine tenants: %w", err)
	}
	r := &reader{policy: p, cached: c.Manager.GetClient(), live: c.live, groups: map[string]bool{}, scheme: c.GetScheme(), mapper: mapper}
	for _, g := range groups {
		r.groups[g] = true
	}
	c.client = noted(&confinedClient{Client: c.live, reader: r}, c.Manager.GetClient())
	cached := *r
	cached.cached = c.Manager.GetCache()
	c.cache = confinedCache{c.Manager.GetCache(), &cached}
	return nil
}

// noted returns c as a client whose writes are known to whoever reads from the cache of
// a manager's client: what is written by the one must not be read as it was by the other.
func noted(c, manager client.Client) client.Client {
	if fresh, ok := manager.(*freshness.Client); ok {
		return freshness.NewClient(c, fresh.Keep())
	}
	return c
}

// GetConfig returns a config whose clients are confined.
func (c *confined) GetConfig() *rest.Config { return c.config }

// GetHTTPClient returns the HTTP client of that config.
func (c *confined) GetHTTPClient() *http.Client { return c.httpClient }

// GetClient returns a client that is confined.
func (c *confined) GetClient() client.Client { return c.client }

// GetAPIReader returns a reader of the API server that is confined.
func (c *confined) GetAPIReader() client.Reader { return c.live }

// GetCache returns the cache with its objects confined.
func (c *confined) GetCache() cache.Cache { return c.cache }

// confinedClient writes by the confined transport and reads by a reader.
type confinedClient struct {
	client.Client
	reader *reader
}

// Get implements client.Reader.
func (c *confinedClient) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	return c.reader.Get(ctx, key, obj, opts...)
}

// List implements client.Reader.
func (c *confinedClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return c.reader.List(ctx, list, opts...)
}
