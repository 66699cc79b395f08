package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	sigsjson "sigs.k8s.io/json"
)

// validateCRD says what the API server would reject about creating the CRD in
// Args.CRD: {"errors": [...]}, empty for an accepted one.
func validateCRD(raw json.RawMessage) (any, error) {
	var args struct {
		CRD json.RawMessage `json:"crd"`
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	return map[string]any{"errors": objections(args.CRD)}, nil
}

// objections to the CRD, as the API server words them; empty, not nil, for none. Its
// validation panics on some, which a server turns into an answer.
func objections(raw json.RawMessage) (found []string) {
	defer func() {
		if value := recover(); value != nil {
			found = []string{fmt.Sprintf("panic: %v", value)}
		}
	}()
	crd, err := internalCRD(raw)
	if err != nil {
		return []string{err.Error()}
	}
	found = []string{}
	for _, e := range validation.ValidateCustomResourceDefinition(context.Background(), crd) {
		found = append(found, e.Error())
	}
	return found
}

// internalCRD decodes a v1 CRD as the API server does before validating it:
// defaults filled, storage version recorded.
func internalCRD(raw json.RawMessage) (*apiextensions.CustomResourceDefinition, error) {
	var external apiextensionsv1.CustomResourceDefinition
	// As kubectl asks for it: what is unknown is refused, and so is what is there twice.
	strict, err := sigsjson.UnmarshalStrict(raw, &external)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(&external)
	internal := &apiextensions.CustomResourceDefinition{}
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&external, internal, nil); err != nil {
		return nil, fmt.Errorf("converting: %w", err)
	}
	for _, version := range internal.Spec.Versions {
		if version.Storage {
			internal.Status.StoredVersions = []string{version.Name}
		}
	}
	return internal, nil
}
