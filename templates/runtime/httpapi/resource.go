package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Resource describes a kind to the API.
type Resource struct {
	// Kind is the kind in the version that is stored.
	Kind schema.GroupVersionKind
	// Plural is the name of the kind's resource.
	Plural string
	// Namespaced reports whether its objects are in namespaces.
	Namespaced bool
	// Fields are those that callers may set: all beside apiVersion, kind, metadata
	// and status.
	Fields []string
	// Owner is the field manager of what is written.
	Owner string
	// New and NewList make an empty object and an empty list, in the types that
	// the cache holds.
	New     func() client.Object
	NewList func() client.ObjectList
}

// Runtime is what a resource needs of the manager.
type Runtime interface {
	GetClient() client.Client
}

// resource answers for one kind.
type resource struct {
	Resource
	client client.Client // its writes are fenced, its reads are the cache's
}

// Register adds the routes of a kind to s, under the paths that the API server
// has for it.
func Register(s *Server, rt Runtime, r Resource) error {
	one := &resource{Resource: r, client: client.WithFieldValidation(rt.GetClient(), metav1.FieldValidationStrict)}
	root := fmt.Sprintf("/apis/%s/%s/", r.Kind.Group, r.Kind.Version)
	everywhere, items := root+r.Plural, root+r.Plural
	if r.Namespaced {
		items = root + "namespaces/{namespace}/" + r.Plural
	}
	routes := []struct {
		pattern string
		answer  func(*http.Request) (int, any, error)
	}{
		{"GET " + items, one.list},
		{"POST " + items, one.create},
		{"GET " + items + "/{name}", one.get},
		{"PUT " + items + "/{name}", one.update},
		{"DELETE " + items + "/{name}", one.delete},
		{"GET " + everywhere, one.list},
	}
	if !r.Namespaced {
		routes = routes[:len(routes)-1]
	}
	for _, r := range routes {
		_, path, _ := strings.Cut(r.pattern, " ")
		// They are described together, by Document.
		if err := s.handle(r.pattern, "", route{path: path}, Answer(r.answer)); err != nil {
			return err
		}
	}
	return nil
}

func (r *resource) get(request *http.Request) (int, any, error) {
	key, err := keyOf(request)
	if err != nil {
		return 0, nil, err
	}
	obj := r.New()
	if err := r.client.Get(request.Context(), key, obj); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, r.shown(obj), nil
}

func (r *resource) create(request *http.Request) (int, any, error) {
	namespace, err := segment(request, "namespace")
	if err != nil {
		return 0, nil, err
	}
	b, err := r.read(request)
	if err != nil {
		return 0, nil, err
	}
	obj := r.object(client.ObjectKey{Namespace: namespace, Name: b.metadata.Name})
	obj.SetLabels(b.metadata.Labels)
	obj.SetAnnotations(b.metadata.Annotations)
	for name, value := range b.fields {
		obj.Object[name] = value
	}
	if err := r.client.Create(request.Context(), obj, client.FieldOwner(r.Owner)); err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, r.shown(obj), nil
}

// update replaces the fields that the body has, and nothing else. With a resource
// version in the body it does so only if the object still has that.
func (r *resource) update(request *http.Request) (int, any, error) {
	key, err := keyOf(request)
	if err != nil {
		return 0, nil, err
	}
	b, err := r.read(request)
	if err != nil {
		return 0, nil, err
	}
	if name := b.metadata.Name; name != "" && name != key.Name {
		return 0, nil, badRequest(fmt.Errorf("metadata.name %q is not that of the path, %q", name, key.Name))
	}
	if len(b.metadata.Labels)+len(b.metadata.Annotations) > 0 {
		return 0, nil, badRequest(errors.New("labels and annotations are not updated here"))
	}
	patch, err := b.patch()
	if err != nil {
		return 0, nil, err
	}
	obj := r.object(key)
	if err := r.client.Patch(request.Context(), obj, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(r.Owner)); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, r.shown(obj), nil
}

// delete has an object deleted, which may take longer than this request.
func (r *resource) delete(request *http.Request) (int, any, error) {
	key, err := keyOf(request)
	if err != nil {
		return 0, nil, err
	}
	if err := r.client.Delete(request.Context(), r.object(key)); err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, nil, nil
}

func (r *resource) object(key client.ObjectKey) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{}}
	obj.SetGroupVersionKind(r.Kind)
	obj.SetNamespace(key.Namespace)
	obj.SetName(key.Name)
	return obj
}

// shown is obj as callers see it: with its kind, which cached objects lack, and
// without what only the API server needs.
func (r *resource) shown(obj client.Object) client.Object {
	obj.GetObjectKind().SetGroupVersionKind(r.Kind)
	obj.SetManagedFields(nil)
	return obj
}

// keyOf is the object that the path names.
func keyOf(request *http.Request) (client.ObjectKey, error) {
	namespace, err := segment(request, "namespace")
	if err != nil {
		return client.ObjectKey{}, err
	}
	name, err := segment(request, "name")
	if err == nil && name == "" {
		err = badRequest(errors.New("the path names no object"))
	}
	return client.ObjectKey{Namespace: namespace, Name: name}, err
}

// segment is a part of the path, which must do as a part of the API server's.
func segment(request *http.Request, name string) (string, error) {
	value := request.PathValue(name)
	if wrong := content.IsPathSegmentName(value); len(wrong) > 0 {
		return "", badRequest(fmt.Errorf("%s %q %s", name, value, wrong[0]))
	}
	return value, nil
}
