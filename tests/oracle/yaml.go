package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// readYAML decodes Args.Data as kubectl reads a file: a stream of YAML or JSON
// documents, each turned into JSON. The answer is {"documents": [...]}.
func readYAML(raw json.RawMessage) (any, error) {
	var args struct {
		Data []byte `json:"data"`
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	documents := []json.RawMessage{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(args.Data), 4096)
	for {
		var extension runtime.RawExtension
		if err := decoder.Decode(&extension); errors.Is(err, io.EOF) {
			return map[string]any{"documents": documents}, nil
		} else if err != nil {
			return nil, err
		}
		extension.Raw = bytes.TrimSpace(extension.Raw)
		if len(extension.Raw) == 0 || bytes.Equal(extension.Raw, []byte("null")) {
			continue
		}
		documents = append(documents, extension.Raw)
	}
}
