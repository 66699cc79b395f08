package freshness

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// scope is what a cache holds. The zero value is that of one that holds everything.
type scope struct {
	mapper meta.RESTMapper // nil in the zero value
	others holding         // of the kinds that are not among kinds
	kinds  map[schema.GroupKind]holding
}

// holding is what a cache holds of a kind.
type holding struct {
	// namespaces is by namespace what is held of it; none means that all is held by
	// the selector. The empty one stands for those that are not named.
	namespaces map[string]selector
	// rest is for kinds that are in no namespace, and where there are no namespaces.
	rest selector
}

// selector chooses among objects, and says what is kept of them. Nil parts choose all,
// and keep it as it is.
type selector struct {
	label labels.Selector
	field fields.Selector
	keeps toolscache.TransformFunc
}

// or is s where it says something, and else what other says.
func (s selector) or(other selector) selector {
	if s.keeps == nil {
		s.keeps = other.keeps
	}
	return selector{cmp.Or(s.label, other.label), cmp.Or(s.field, other.field), s.keeps}
}

// all reports whether nothing is left out.
func (s selector) all() bool {
	return (s.label == nil || s.label.Empty()) && (s.field == nil || s.field.Empty())
}

// takes reports whether an object is chosen, as far as its metadata tells.
func (s selector) takes(obj client.Object) bool {
	if s.label != nil && !s.label.Matches(labels.Set(obj.GetLabels())) {
		return false
	}
	if s.field == nil {
		return true
	}
	for _, r := range s.field.Requirements() {
		if value, ok := fieldOf(obj, r.Field); ok && (value == r.Value) == (r.Operator == selection.NotEquals) {
			return false
		}
	}
	return true
}

// cut makes of an object what is kept of it.
func (s selector) cut(obj client.Object) error {
	if s.keeps == nil {
		return nil
	}
	kept, err := s.keeps(obj)
	if err != nil {
		return err
	}
	if is := reflect.ValueOf(kept); kept != any(obj) && is.Type() == reflect.TypeOf(obj) {
		reflect.ValueOf(obj).Elem().Set(is.Elem())
	}
	return nil
}

// fieldOf returns a field that every object is chosen by.
func fieldOf(obj client.Object, field string) (_ string, ok bool) {
	switch field {
	case metav1.ObjectNameField:
		return obj.GetName(), true
	case "metadata.namespace":
		return obj.GetNamespace(), true
	}
	return "", false
}

// tells reports whether an object's metadata tells all that it is chosen by.
func (s selector) tells() bool {
	return s.field == nil || !slices.ContainsFunc(s.field.Requirements(), func(r fields.Requirement) bool {
		_, known := fieldOf(&metav1.PartialObjectMetadata{}, r.Field)
		return !known
	})
}

// scopeOf reads a cache's options as controller-runtime does.
func scopeOf(o cache.Options, mapper meta.RESTMapper) scope {
	base := selector{o.DefaultLabelSelector, o.DefaultFieldSelector, o.DefaultTransform}
	s := scope{mapper: mapper, others: holdingOf(o.DefaultNamespaces, base), kinds: map[schema.GroupKind]holding{}}
	for obj, by := range o.ByObject {
		gvk, err := apiutil.GVKForObject(obj, cmp.Or(o.Scheme, scheme.Scheme))
		if err != nil {
			continue // which the cache itself refuses
		}
		own, configs := selector{by.Label, by.Field, by.Transform}, by.Namespaces
		if configs == nil {
			configs = o.DefaultNamespaces
		}
		configs = maps.Clone(configs)
		for namespace, config := range configs {
			named := o.DefaultNamespaces[namespace]
			chosen := selectorOf(config).or(own).or(selectorOf(named))
			configs[namespace] = cache.Config{LabelSelector: chosen.label, FieldSelector: chosen.field, Transform: chosen.keeps}
		}
		h := holdingOf(configs, base)
		h.rest = own.or(base)
		s.kinds[gvk.GroupKind()] = h
	}
	return s
}

func selectorOf(c cache.Config) selector {
	return selector{c.LabelSelector, c.FieldSelector, c.Transform}
}

func holdingOf(namespaces map[string]cache.Config, base selector) holding {
	h := holding{rest: base}
	for namespace, config := range namespaces {
		if h.namespaces == nil {
			h.namespaces = map[string]selector{}
		}
		h.namespaces[namespace] = selectorOf(config).or(base)
	}
	return h
}

func (s scope) of(kind schema.GroupKind) holding {
	if own, ok := s.kinds[kind]; ok {
		return own
	}
	return s.others
}

// chooses returns what is held of a kind in a namespace, which is empty for what is in
// none. It is not ok if that is nothing.
func (s scope) chooses(kind schema.GroupKind, namespace string) (_ selector, ok bool) {
	h := s.of(kind)
	if namespace == "" || len(h.namespaces) == 0 {
		return h.rest, true
	}
	if named, ok := h.namespaces[namespace]; ok {
		return named, true
	}
	rest, ok := h.namespaces[cache.AllNamespaces]
	return rest, ok
}

// partial reports whether an object that the cache does not show may be stored all the
// same without being late: the cache holds a selection, or has an informer of the
// namespace alone, which does not tell how far it is.
func (s scope) partial(kind schema.GroupKind, namespace string) bool {
	chosen, ok := s.chooses(kind, namespace)
	_, alone := s.of(kind).namespaces[namespace]
	return !ok || !chosen.all() || alone && namespace != ""
}

// holds reports whether an object is known to be in the selection that a cache holds.
func (s scope) holds(kind schema.GroupKind, obj client.Object) bool {
	chosen, ok := s.chooses(kind, obj.GetNamespace())
	return ok && s.partial(kind, obj.GetNamespace()) && chosen.takes(obj) && chosen.tells()
}

// part is what one list can bring of a kind.
type part struct {
	namespace string
	selector
}

// parts are those that bring what is held of a kind.
func (s scope) parts(kind schema.GroupVersionKind) ([]part, error) {
	h := s.of(kind.GroupKind())
	if len(h.namespaces) == 0 {
		return []part{{selector: h.rest}}, nil
	}
	namespaced, err := apiutil.IsGVKNamespaced(kind, s.mapper)
	if err != nil {
		return nil, err
	}
	if !namespaced {
		return []part{{selector: h.rest}}, nil
	}
	var all []part
	for _, namespace := range slices.Sorted(maps.Keys(h.namespaces)) {
		one := part{namespace, h.namespaces[namespace]}
		if namespace == cache.AllNamespaces {
			one.field = h.elsewhere(one.field)
		}
		all = append(all, one)
	}
	return all, nil
}

// elsewhere chooses what is in none of the namespaces that are named.
func (h holding) elsewhere(also fields.Selector) fields.Selector {
	var all []fields.Selector
	for _, namespace := range slices.Sorted(maps.Keys(h.namespaces)) {
		if namespace != cache.AllNamespaces {
			all = append(all, fields.OneTermNotEqualSelector("metadata.namespace", namespace))
		}
	}
	if also != nil {
		all = append(all, also)
	}
	return fields.AndSelectors(all...)
}
