package access

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
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
	if err := r.check(ctx, a, func() string { return r.kind(obj) + " " + key.Name }, nil); err != nil {
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

func (r *reader) namespaced(list client.ObjectList) (bool, error) {
	gvk, err := apiutil.GVKForObject(list, r.scheme)
	if err != nil {
		return false, err
	}
	one := schema.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: strings.TrimSuffix(gvk.Kind, "List")}
	return apiutil.IsGVKNamespaced(one, r.mapper)
}

// confinedCache is a cache whose objects are read by a reader.
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
