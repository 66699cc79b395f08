package manager

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// cachePatience is how long a cache may take to end. Its informers end at once
// but for one place: a reflector whose API server refuses connections sleeps
// up to half a minute without looking at its context, which would eat up the
// shutdown period of everything that is stopped later.
const cachePatience = time.Second

// CacheOf adds a cache beside the manager's own, which runs for as long. It holds what has
// the name, whoever made it and however it is labelled, in the given namespaces, or in all
// without any. Rights on objects of that name are enough for it.
func (r *Runtime) CacheOf(name string, namespaces []string) (cache.Cache, error) {
	o := called(name, namespaces)
	o.HTTPClient, o.Scheme, o.Mapper = r.GetHTTPClient(), r.GetScheme(), r.GetRESTMapper()
	c, err := bounded(cache.New)(r.GetConfig(), o)
	if err != nil {
		return nil, fmt.Errorf("cache of %s: %w", name, err)
	}
	return c, r.Add(c)
}

// called are the options of a cache that holds what has the name.
func called(name string, namespaces []string) cache.Options {
	o := cache.Options{DefaultFieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name)}
	for _, namespace := range namespaces {
		if o.DefaultNamespaces == nil {
			o.DefaultNamespaces = map[string]cache.Config{}
		}
		o.DefaultNamespaces[namespace] = cache.Config{}
	}
	return o
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
