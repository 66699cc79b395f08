package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
)

// document is an OpenAPI description, put together from those of the kinds and
// of other routes.
type document struct {
	mu    sync.Mutex
	whole map[string]any
	own   map[string]map[string]json.RawMessage // operations by path and method
}

func (d *document) read(text []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := json.Unmarshal(text, &d.whole); err != nil {
		return fmt.Errorf("the description of the HTTP API: %w", err)
	}
	return nil
}

// add adds the operation of a route.
func (d *document) add(pattern, operation string) error {
	if operation == "" {
		return nil
	}
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		return errors.New("a route that is described needs a method before its path")
	}
	if !json.Valid([]byte(operation)) {
		return errors.New("its description is no JSON")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own == nil {
		d.own = map[string]map[string]json.RawMessage{}
	}
	if d.own[path] == nil {
		d.own[path] = map[string]json.RawMessage{}
	}
	d.own[path][strings.ToLower(method)] = json.RawMessage(operation)
	return nil
}

// text is the whole.
func (d *document) text() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	whole := map[string]any{"openapi": "3.0.3", "info": map[string]any{"title": "HTTP API", "version": "1"}}
	maps.Copy(whole, d.whole)
	generated, _ := whole["paths"].(map[string]any)
	paths := maps.Clone(generated)
	if paths == nil {
		paths = map[string]any{}
	}
	for path, operations := range d.own {
		present, _ := paths[path].(map[string]any)
		item := maps.Clone(present)
		if item == nil {
			item = map[string]any{}
		}
		for method, operation := range operations {
			item[method] = operation
		}
		paths[path] = item
	}
	whole["paths"] = paths
	return json.Marshal(whole)
}
