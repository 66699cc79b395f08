package manager

import (
	"context"
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
