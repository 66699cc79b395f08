package freshness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

var (
	red  = labels.SelectorFromSet(labels.Set{"color": "red"})
	blue = labels.SelectorFromSet(labels.Set{"color": "blue"})
)

// What a cache holds, by its options: the lists that bring it, whether a namespace is
// held, and whether an object that is missing there may be stored all the same.
func TestWhatACacheHolds(t *testing.T) {
	type where struct {
		namespace     string
		held, partial bool
	}
	of := func(by cache.ByObject) cache.Options {
		return cache.Options{Scheme: runtimetest.Scheme(), ByObject: map[client.Object]cache.ByObject{&widget{}: by}}
	}
	for name, test := range map[string]struct {
		options cache.Options
		cluster bool // whether the kind is in no namespace
		parts   []string
		where   []where
	}{
		"all":     {parts: []string{"/"}, where: []where{{"a", true, false}}},
		"cluster": {cluster: true, parts: []string{"/"}, where: []where{{"", true, false}}},
		"one namespace": {
			options: cache.Options{DefaultNamespaces: map[string]cache.Config{"a": {}}},
			parts:   []string{"a/"}, where: []where{{"a", true, true}, {"b", false, true}},
		},
		"a cluster-scoped kind beside namespaces": {
			options: cache.Options{DefaultNamespaces: map[string]cache.Config{"a": {}, "b": {}}},
			cluster: true, parts: []string{"/"}, where: []where{{"", true, false}},
		},
		"one namespace by itself and the others": {
			options: cache.Options{DefaultNamespaces: map[string]cache.Config{"a": {LabelSelector: red}, cache.AllNamespaces: {}}},
			parts:   []string{"/metadata.namespace!=a", "a/color=red"},
			where:   []where{{"a", true, true}, {"b", true, false}},
		},
		"labels": {options: of(cache.ByObject{Label: red}), parts: []string{"/color=red"}, where: []where{{"a", true, true}}},
		"fields": {
			options: cache.Options{DefaultFieldSelector: fields.OneTermEqualSelector("metadata.name", "n")},
			parts:   []string{"/metadata.name=n"}, where: []where{{"a", true, true}},
		},
		"a default that is taken back": {
			options: func() cache.Options {
				o := of(cache.ByObject{Label: labels.Everything()})
				o.DefaultLabelSelector = red
				return o
			}(),
			parts: []string{"/"}, where: []where{{"a", true, false}},
		},
		"the kind's labels, in the namespaces of all kinds": {
			options: func() cache.Options {
				o := of(cache.ByObject{Label: red})
				o.DefaultNamespaces = map[string]cache.Config{"a": {}, "b": {LabelSelector: blue}}
				return o
			}(),
			parts: []string{"a/color=red", "b/color=blue"}, where: []where{{"a", true, true}, {"c", false, true}},
		},
		"all namespaces of one kind": {
			options: func() cache.Options {
				o := of(cache.ByObject{Namespaces: map[string]cache.Config{}})
				o.DefaultNamespaces = map[string]cache.Config{"a": {}}
				return o
			}(),
			parts: []string{"/"}, where: []where{{"b", true, false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			mapper, inside := meta.NewDefaultRESTMapper(nil), meta.RESTScopeNamespace
			if test.cluster {
				inside = meta.RESTScopeRoot
			}
			mapper.Add(gvk, inside)
			s := scopeOf(test.options, mapper)
			parts, err := s.parts(gvk)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range parts {
				text := one.namespace + "/"
				for _, chosen := range []fmt.Stringer{one.label, one.field} {
					if chosen != nil {
						text += chosen.String()
					}
				}
				got = append(got, text)
			}
			if !slices.Equal(got, test.parts) {
				t.Errorf("lists %q, want %q", got, test.parts)
			}
			for _, want := range test.where {
				_, held := s.chooses(gvk.GroupKind(), want.namespace)
				if partial := s.partial(gvk.GroupKind(), want.namespace); held != want.held || partial != want.partial {
					t.Errorf("in namespace %q: held %t, partial %t", want.namespace, held, partial)
				}
			}
		})
	}
}

// here is a cache of one namespace.
type here struct{ *world }

func (h here) Get(ctx context.Context, at client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if at.Namespace != key.Namespace {
		return errors.New("unknown namespace for the cache")
	}
	return h.world.Get(ctx, at, obj, opts...)
}

func TestAWriteWhereTheCacheHoldsNothingIsNotWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		r.Cached = here{w}
		r.Keep.scope = scope{others: holding{namespaces: map[string]selector{key.Namespace: {}}}}
		if err := c.Create(t.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "w2"}}); err != nil {
			t.Fatal(err)
		}
		if err := r.List(t.Context(), &runtimetest.WidgetList{}); err != nil {
			t.Error(err)
		}
	})
}

// A write takes an object out of what the cache holds. In the API server it is found.
func TestALiveReadFindsOnlyWhatTheCacheHolds(t *testing.T) {
	for name, chosen := range map[string]selector{
		"labels": {label: labels.SelectorFromSet(labels.Set{"mine": "yes"})},
		"fields": {field: fields.OneTermNotEqualSelector("metadata.name", key.Name)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
				r.Keep.scope = scope{others: holding{rest: chosen}}
				write(t, w, c, 7)
				for range 2 {
					if err := r.Get(t.Context(), key, &widget{}); !apierrors.IsNotFound(err) {
						t.Errorf("error %v", err)
					}
				}
				if w.lives() != 2 {
					t.Errorf("%d live reads: the older state in the cache is not to be read", w.lives())
				}
			})
		})
	}
	mine := selector{
		label: labels.SelectorFromSet(labels.Set{"mine": "yes"}),
		field: fields.ParseSelectorOrDie("metadata.name=w,metadata.namespace!=other,spec.size=7"),
	}
	if obj := (&widget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "w", Labels: map[string]string{"mine": "yes"}}}); !mine.takes(obj) {
		t.Error("what is chosen is not taken")
	}
}

func TestALiveReadHasWhatTheCacheKeeps(t *testing.T) {
	cut := func(o any) (any, error) {
		obj := o.(*widget).DeepCopy()
		obj.Spec.Size = 0
		return obj, nil
	}
	for name, o := range map[string]cache.Options{
		"of all kinds":    {DefaultTransform: cut},
		"of this kind":    {ByObject: map[client.Object]cache.ByObject{&widget{}: {Transform: cut}}},
		"in a namespace":  {DefaultNamespaces: map[string]cache.Config{key.Namespace: {Transform: cut}}},
		"of both of them": {ByObject: map[client.Object]cache.ByObject{&widget{}: {}}, DefaultNamespaces: map[string]cache.Config{key.Namespace: {Transform: cut}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
				o.Scheme = runtimetest.Scheme()
				r.Keep.scope = scopeOf(o, nil)
				write(t, w, c, 7)
				if got := sizeOf(t, r); got != 0 || w.lives() != 1 {
					t.Errorf("size %d, which the cache does not keep; %d live reads", got, w.lives())
				}
			})
		})
	}
}
