package runtimetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

var resource = schema.GroupResource{Group: GroupVersion.Group, Resource: "widgets"}

// Server stands in for the API server as far as the runtime talks to it about
// one object: Get, and Patch of the object or its status with optimistic
// locking. Unlike a fake client it stores JSON, so that it keeps what the Go
// types do not know, and it applies patches as the API server does. Methods that
// the runtime does not use panic. The zero value has no object.
type Server struct {
	client.Client

	// BeforePatch runs before each patch and may fail it, hang, or change the
	// stored object.
	BeforePatch func(ctx context.Context, p Patch) error
	// StatusInSpec serves the kind without the status subresource.
	StatusInSpec bool

	mu      sync.Mutex
	stored  map[string]any
	version int
	patches []Patch
	gets    int
}

// Patch is a patch that a Server has been sent.
type Patch struct {
	Subresource string
	Type        types.PatchType
	Data        string
}

// Put stores the JSON text as the object, with a new resource version. Whatever
// is missing of name, UID and generation is filled in.
func (s *Server) Put(text string) {
	s.Edit(func(map[string]any) map[string]any { return mustDecode([]byte(text)) })
}

// Edit changes the stored object, as another client would.
func (s *Server) Edit(change func(map[string]any) map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = change(s.stored)
	if s.stored == nil {
		return
	}
	s.stored["apiVersion"], s.stored["kind"] = GroupVersion.String(), "Widget"
	metadata, ok := s.stored["metadata"].(map[string]any)
	if !ok {
		metadata = map[string]any{}
		s.stored["metadata"] = metadata
	}
	for k, v := range map[string]any{"name": "w", "namespace": "default", "uid": "uid-1", "generation": json.Number("1")} {
		if _, ok := metadata[k]; !ok {
			metadata[k] = v
		}
	}
	s.bump()
}

// JSON returns the stored object, empty if there is none.
func (s *Server) JSON() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored == nil {
		return ""
	}
	return string(mustEncode(s.stored))
}

// Widget returns the stored object, nil if there is none.
func (s *Server) Widget() *Widget {
	text := s.JSON()
	if text == "" {
		return nil
	}
	w := &Widget{}
	if err := json.Unmarshal([]byte(text), w); err != nil {
		panic(err)
	}
	return w
}

// Patches returns the patches sent so far.
func (s *Server) Patches() []Patch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Patch(nil), s.patches...)
}

// Gets returns how often the object has been read.
func (s *Server) Gets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets
}

// GroupVersionKindFor implements client.Client.
func (s *Server) GroupVersionKindFor(obj runtime.Object) (schema.GroupVersionKind, error) {
	return apiutil.GVKForObject(obj, Scheme())
}

// RESTMapper implements client.Client.
func (s *Server) RESTMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(GroupVersion.WithKind("Widget"), meta.RESTScopeNamespace)
	return mapper
}

// Get implements client.Reader. Like a read from a cache it does not look at
// ctx.
func (s *Server) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	if s.stored == nil || key.Name != "w" {
		return apierrors.NewNotFound(resource, key.Name)
	}
	return json.Unmarshal(mustEncode(s.stored), obj)
}

// Patch implements client.Writer.
func (s *Server) Patch(ctx context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return s.patch(ctx, obj, patch, "")
}

// Status implements client.StatusClient.
func (s *Server) Status() client.SubResourceWriter { return statusWriter{server: s} }

type statusWriter struct {
	client.SubResourceWriter
	server *Server
}

func (w statusWriter) Patch(ctx context.Context, obj client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return w.server.patch(ctx, obj, patch, "status")
}

func (s *Server) patch(ctx context.Context, obj client.Object, patch client.Patch, subresource string) error {
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	sent := Patch{Subresource: subresource, Type: patch.Type(), Data: string(data)}
	s.mu.Lock()
	s.patches = append(s.patches, sent)
	s.mu.Unlock()
	if s.BeforePatch != nil {
		if err := s.BeforePatch(ctx, sent); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored == nil {
		return apierrors.NewNotFound(resource, obj.GetName())
	}
	if subresource != "" && s.StatusInSpec {
		return apierrors.NewNotFound(resource, obj.GetName())
	}
	patched, err := s.apply(sent)
	if err != nil {
		return err
	}
	stored := s.accept(patched, subresource)
	reflect.ValueOf(obj).Elem().SetZero()
	return json.Unmarshal(mustEncode(stored), obj)
}

func (s *Server) apply(p Patch) (map[string]any, error) {
	before := mustEncode(s.stored)
	var after []byte
	var err error
	switch p.Type {
	case types.MergePatchType:
		after, err = jsonpatch.MergePatch(before, []byte(p.Data))
	case types.JSONPatchType:
		var decoded jsonpatch.Patch
		if decoded, err = jsonpatch.DecodePatch([]byte(p.Data)); err == nil {
			after, err = decoded.Apply(before)
		}
	default:
		err = fmt.Errorf("patch type %s", p.Type)
	}
	if err != nil {
		return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "patch", resource, "w", err.Error(), 0, false)
	}
	patched := mustDecode(after)
	if version(patched) != version(s.stored) {
		return nil, apierrors.NewConflict(resource, "w", errors.New("the object has been modified"))
	}
	return patched, nil
}

// accept stores of patched what the endpoint lets through, and returns the
// object as it is then.
func (s *Server) accept(patched map[string]any, subresource string) map[string]any {
	next := patched
	if subresource == "status" {
		next = maps.Clone(s.stored)
		next["status"] = patched["status"]
	} else if !s.StatusInSpec {
		next["status"] = s.stored["status"]
	}
	if next["status"] == nil {
		delete(next, "status")
	}
	if reflect.DeepEqual(next, s.stored) {
		return next
	}
	metadata := next["metadata"].(map[string]any)
	if !reflect.DeepEqual(next["spec"], s.stored["spec"]) ||
		s.StatusInSpec && !reflect.DeepEqual(next["status"], s.stored["status"]) {
		generation, err := metadata["generation"].(json.Number).Int64()
		if err != nil {
			panic(err)
		}
		metadata["generation"] = json.Number(strconv.FormatInt(generation+1, 10))
	}
	if finalizers, _ := metadata["finalizers"].([]any); metadata["deletionTimestamp"] != nil && len(finalizers) == 0 {
		s.stored = nil
		return next
	}
	s.stored = next
	s.bump()
	return next
}

func (s *Server) bump() {
	s.version++
	s.stored["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(s.version)
}

// Delete marks the object as deleted, or removes it if it has no finalizers.
func (s *Server) Delete(context.Context, client.Object, ...client.DeleteOption) error {
	s.Edit(func(stored map[string]any) map[string]any {
		metadata := stored["metadata"].(map[string]any)
		if finalizers, _ := metadata["finalizers"].([]any); len(finalizers) == 0 {
			return nil
		}
		metadata["deletionTimestamp"] = time.Now().UTC().Format(time.RFC3339)
		return stored
	})
	return nil
}

func version(object map[string]any) any {
	metadata, _ := object["metadata"].(map[string]any)
	return metadata["resourceVersion"]
}

func mustDecode(text []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		panic(err)
	}
	return object
}

func mustEncode(object map[string]any) []byte {
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return text
}
