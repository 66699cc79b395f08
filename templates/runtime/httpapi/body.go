package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// metadata is what callers may say of an object.
type metadata struct {
	Name            string            `json:"name"`
	Labels          map[string]string `json:"labels"`
	Annotations     map[string]string `json:"annotations"`
	ResourceVersion string            `json:"resourceVersion"`
}

// body is what callers send of an object.
type body struct {
	metadata metadata
	fields   map[string]any
}

// read reads the body of a request. What it may not say is named.
func (r *resource) read(request *http.Request) (body, error) {
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return body{}, fmt.Errorf("read the body: %w", err)
	}
	if !utf8.Valid(text) {
		return body{}, badRequest(errors.New("the body is not UTF-8"))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return body{}, badRequest(fmt.Errorf("the body: %w", err))
	}
	b := body{fields: map[string]any{}}
	for name, value := range members {
		if err := r.set(&b, name, value); err != nil {
			return body{}, badRequest(fmt.Errorf("%s: %w", name, err))
		}
	}
	return b, nil
}

// set reads one member of the body.
func (r *resource) set(b *body, name string, value json.RawMessage) error {
	switch name {
	case "apiVersion":
		return same(value, r.Kind.GroupVersion().String())
	case "kind":
		return same(value, r.Kind.Kind)
	case "metadata":
		return strict(value, &b.metadata)
	}
	if !slices.Contains(r.Fields, name) {
		return errors.New("is not a field that can be set")
	}
	var field any
	if err := utiljson.Unmarshal(value, &field); err != nil {
		return err
	}
	b.fields[name] = field
	return nil
}

// strict reads JSON that must have nothing that into does not know.
func strict(value json.RawMessage, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

func same(value json.RawMessage, want string) error {
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return err
	}
	if text != want {
		return fmt.Errorf("is %q, want %q", text, want)
	}
	return nil
}

// pointer escapes a name for a JSON pointer.
var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// patch is the JSON patch that replaces the fields.
func (b body) patch() ([]byte, error) {
	if len(b.fields) == 0 {
		return nil, badRequest(errors.New("the body has no field to update"))
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	var operations []operation
	if b.metadata.ResourceVersion != "" {
		operations = append(operations, operation{"add", "/metadata/resourceVersion", b.metadata.ResourceVersion})
	}
	for name, value := range b.fields {
		operations = append(operations, operation{"add", "/" + pointer.Replace(name), value})
	}
	return json.Marshal(operations)
}
