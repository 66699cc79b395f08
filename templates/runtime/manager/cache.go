package manager

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// cachePatience is how long a cache may take to end. Its informers end at once
// but for one place: a reflector whose API server refuses connections sleeps
// up to half a minute without looking at its context, which would eat up the
// shutdown period of everything that is stopped later.
const cachePatience = time.Second

// AddCache adds a cache beside the manager's own, which runs for as long. It is for
// objects that have to be held otherwise than in that one, such as only those of a name.
// Of o it fills in how the API server is reached.
func (r *Runtime) AddCache(o cache.Options) (cache.Cache, error) {
	o.HTTPClient, o.Scheme, o.Mapper = r.GetHTTPClient(), r.GetScheme(), r.GetRESTMapper()
	c, err := bounded(cache.New)(r.GetConfig(), o)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return c, r.Add(c)
}

// bounded makes caches that end within cachePatience.
func bounded(newCache cache.NewCacheFunc) cache.NewCacheFunc {
	if newCache == nil {
		newCache = cache.New
	}
	return func(cfg *rest.Config, o cache.Options) (cache.Cache, error) {
		c, err := newCache(cfg, o)
		if err != nil {
			return nil, err
		}
		return boundedCache{c}, nil
	}
}

type boundedCache struct{ cache.Cache }

// GetCache has controller-runtime start and stop it with the other caches.
func (c boundedCache) GetCache() cache.Cache { return c }

// Start runs the cache until ctx ends. Informers that do not end with it are
// left behind; they end with the process, if not before.
func (c boundedCache) Start(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- c.Cache.Start(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	patience := time.NewTimer(cachePatience)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		log.FromContext(ctx).Info("Left informers behind that do not end", "waited", cachePatience)
		return nil
	}
}
