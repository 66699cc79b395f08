package access

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// reader is in front of a cache.
type reader struct {
	*policy
	cached client.Reader
	live   client.Reader   // for the kinds of others where tenants have accounts
	groups map[string]bool // the operator's own
	scheme *runtime.Scheme
	mapper meta.RESTMapper
}

// Get implements client.Reader.
func (r *reader) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	a := action{verb: "get", reads: true, namespace: key.Namespace, one: true}
	if err := r.check(ctx, a, func() string { return r.kind(obj) + " " + key.Name }, func() (bool, error) { return r.namespaced(obj) }); err != nil {
		return err
	}
	return r.source(obj).Get(ctx, key, obj, opts...)
}

// List implements client.Reader.
func (r *reader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	a := action{verb: "list", reads: true, namespace: o.Namespace}
	if err := r.check(ctx, a, func() string { return r.kind(list) }, func() (bool, error) { return r.namespaced(list) }); err != nil {
		return err
	}
	return r.source(list).List(ctx, list, &o)
}

// source is where objects of a kind are read.
func (r *reader) source(obj runtime.Object) client.Reader {
	if r.account == "" {
		return r.cached
	}
	if gvk, err := apiutil.GVKForObject(obj, r.scheme); err == nil && r.groups[gvk.Group] {
		return r.cached
	}
	return r.live
}

func (r *reader) kind(obj runtime.Object) string {
	gvk, err := apiutil.GVKForObject(obj, r.scheme)
	if err != nil {
		return err.Error()
	}
	return gvk.Kind
}

// namespaced reports whether objects of a kind, or of a list of it, are in namespaces.
func (r *reader) namespaced(obj runtime.Object) (bool, error) {
	gvk, err := apiutil.GVKForObject(obj, r.scheme)
	if err != nil {
		return false, err
	}
	if meta.IsListType(obj) {
		gvk.Kind = strings.TrimSuffix(gvk.Kind, "List")
	}
	return apiutil.IsGVKNamespaced(gvk, r.mapper)
}

// confinedCache is a cache whose objects are read by a reader. Its informers tell of all
// namespaces.
type confinedCache struct {
	cache.Cache
	*reader
}

// Get implements client.Reader.
func (c confinedCache) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	return c.reader.Get(ctx, key, obj, opts...)
}

// List implements client.Reader.
func (c confinedCache) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return c.reader.List(ctx, list, opts...)
}

// GetInformer implements cache.Informers.
func (c confinedCache) GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	if err := c.checkInformer(ctx, "watch", obj); err != nil {
		return nil, err
	}
	return c.Cache.GetInformer(ctx, obj, opts...)
}

// GetInformerForKind implements cache.Informers.
func (c confinedCache) GetInformerForKind(ctx context.Context, gvk schema.GroupVersionKind, opts ...cache.InformerGetOption) (cache.Informer, error) {
	obj := &metav1.PartialObjectMetadata{}
	obj.SetGroupVersionKind(gvk)
	if err := c.checkInformer(ctx, "watch", obj); err != nil {
		return nil, err
	}
	return c.Cache.GetInformerForKind(ctx, gvk, opts...)
}

// RemoveInformer implements cache.Informers.
func (c confinedCache) RemoveInformer(ctx context.Context, obj client.Object) error {
	if err := c.checkInformer(ctx, "stop watching", obj); err != nil {
		return err
	}
	return c.Cache.RemoveInformer(ctx, obj)
}

func (c confinedCache) checkInformer(ctx context.Context, verb string, obj client.Object) error {
	a := action{verb: verb, reads: true}
	return c.check(ctx, a, func() string { return c.kind(obj) }, func() (bool, error) { return c.namespaced(obj) })
}
