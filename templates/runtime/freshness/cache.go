package freshness

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
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
		k.scope = scopeOf(o)
		return freshCache{c, &Reader{Keep: k, Cached: c, Live: live, Kinds: live, Partial: k.scope.partial}}, nil
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
		return NewClient(c, k), nil
	}
}

// Namespaces returns those that the cache holds objects of a kind of; none means
// all.
func (k *Keep) Namespaces(kind schema.GroupKind) []string {
	return slices.Sorted(maps.Keys(k.scope.of(kind).namespaces))
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

// selection is what a cache holds of a kind.
type selection struct {
	namespaces map[string]bool // none means all
	some       bool            // whether labels or fields select
}

// scope is what a cache holds.
type scope struct {
	byDefault selection
	kinds     map[schema.GroupKind]selection
}

func scopeOf(o cache.Options) scope {
	s := scope{
		byDefault: selected(o.DefaultNamespaces, o.DefaultLabelSelector != nil || o.DefaultFieldSelector != nil),
		kinds:     map[schema.GroupKind]selection{},
	}
	for obj, by := range o.ByObject {
		gvk, err := apiutil.GVKForObject(obj, o.Scheme)
		if err != nil {
			continue // which the cache itself refuses
		}
		namespaces := by.Namespaces
		if namespaces == nil {
			namespaces = o.DefaultNamespaces
		}
		s.kinds[gvk.GroupKind()] = selected(namespaces,
			by.Label != nil || by.Field != nil || o.DefaultLabelSelector != nil || o.DefaultFieldSelector != nil)
	}
	return s
}

func selected(namespaces map[string]cache.Config, some bool) selection {
	s := selection{some: some}
	for namespace, by := range namespaces {
		s.some = s.some || by.LabelSelector != nil || by.FieldSelector != nil
		if namespace == cache.AllNamespaces {
			continue
		}
		if s.namespaces == nil {
			s.namespaces = map[string]bool{}
		}
		s.namespaces[namespace] = true
	}
	return s
}

func (s scope) of(kind schema.GroupKind) selection {
	if own, ok := s.kinds[kind]; ok {
		return own
	}
	return s.byDefault
}

// partial reports whether some objects of a kind are not in the cache.
func (s scope) partial(kind schema.GroupKind) bool {
	of := s.of(kind)
	return of.some || len(of.namespaces) > 0
}
