package freshness

import (
	"context"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Cache returns a function that makes caches whose reads are never older than k
// allows. k describes one cache, the manager's own. A nil newCache means
// controller-runtime's.
func (k *Keep) Cache(newCache cache.NewCacheFunc) cache.NewCacheFunc {
	if newCache == nil {
		newCache = cache.New
	}
	return func(cfg *rest.Config, o cache.Options) (cache.Cache, error) {
		c, err := newCache(cfg, o)
		if err != nil {
			return nil, err
		}
		live, err := client.New(cfg, client.Options{HTTPClient: o.HTTPClient, Scheme: o.Scheme, Mapper: o.Mapper})
		if err != nil {
			return nil, err
		}
		k.scope = scopeOf(o, live.RESTMapper())
		return freshCache{c, &Reader{Keep: k, Cached: c, Live: live, Kinds: live, seen: seenBy(c)}}, nil
	}
}

// Client returns a function that makes clients whose writes k knows of. A nil
// newClient means controller-runtime's.
func (k *Keep) Client(newClient client.NewClientFunc) client.NewClientFunc {
	if newClient == nil {
		newClient = client.New
	}
	return func(cfg *rest.Config, o client.Options) (client.Client, error) {
		c, err := newClient(cfg, o)
		if err != nil {
			return nil, err
		}
		if o.Cache != nil {
			for _, obj := range o.Cache.DisableFor {
				gvk, err := c.GroupVersionKindFor(obj)
				if err != nil {
					return nil, err
				}
				if k.direct == nil {
					k.direct = map[schema.GroupKind]bool{}
				}
				k.direct[gvk.GroupKind()] = true
			}
		}
		return NewClient(c, k), nil
	}
}

// seenBy returns how far the informers of a cache are. What an informer of several
// namespaces has seen it does not tell.
func seenBy(c cache.Informers) func(context.Context, client.Object) uint64 {
	return func(ctx context.Context, obj client.Object) uint64 {
		informer, err := c.GetInformer(ctx, obj, cache.BlockUntilSynced(false))
		if err != nil {
			return 0
		}
		of, ok := informer.(interface{ GetStore() toolscache.Store })
		if !ok {
			return 0
		}
		n, err := strconv.ParseUint(of.GetStore().LastStoreSyncResourceVersion(), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
}

// freshCache is a cache that is read by a Reader.
type freshCache struct {
	cache.Cache
	reader *Reader
}

// Get implements client.Reader.
func (c freshCache) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	return c.reader.Get(ctx, key, obj, opts...)
}

// List implements client.Reader.
func (c freshCache) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return c.reader.List(ctx, list, opts...)
}

// GetInformer implements cache.Informers.
func (c freshCache) GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	if _, err := c.reader.viewOf(obj); err != nil {
		return nil, err
	}
	return c.Cache.GetInformer(ctx, obj, opts...)
}

// GetInformerForKind implements cache.Informers.
func (c freshCache) GetInformerForKind(ctx context.Context, gvk schema.GroupVersionKind, opts ...cache.InformerGetOption) (cache.Informer, error) {
	c.reader.note(gvk, inType)
	return c.Cache.GetInformerForKind(ctx, gvk, opts...)
}
