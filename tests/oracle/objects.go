package main

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// admitted is what the API server makes of one object sent to create it.
type admitted struct {
	Object any      `json:"object"`
	Errors []string `json:"errors"`
}

// validateObjects sends Args.Objects through the API server's own pipeline for
// one version of a CRD: prune, default, validate, list sets and maps, CEL. The
// answer is {"objects": [{"object": …, "errors": […]}]} in the order given.
func validateObjects(raw json.RawMessage) (any, error) {
	var args struct {
		CRD     json.RawMessage   `json:"crd"`
		Version string            `json:"version"`
		Objects []json.RawMessage `json:"objects"`
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	crd, err := internalCRD(args.CRD)
	if err != nil {
		return nil, err
	}
	server, err := newServer(crd, args.Version)
	if err != nil {
		return nil, err
	}
	results := make([]admitted, len(args.Objects))
	for i, rawObject := range args.Objects {
		var object map[string]any
		if err := utiljson.Unmarshal(rawObject, &object); err != nil {
			return nil, fmt.Errorf("object %d: %w", i, err)
		}
		results[i] = server.admit(object)
	}
	return map[string]any{"objects": results}, nil
}

// server is the schema machinery of one served version.
type server struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

// newServer builds the machinery for one version of a CRD.
func newServer(crd *apiextensions.CustomResourceDefinition, version string) (*server, error) {
	found, err := apiextensions.GetSchemaForVersion(crd, version)
	if err != nil {
		return nil, fmt.Errorf("version %q: %w", version, err)
	}
	if found == nil || found.OpenAPIV3Schema == nil {
		return nil, fmt.Errorf("version %q has no schema", version)
	}
	structural, err := schema.NewStructural(found.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("version %q: %w", version, err)
	}
	validator, _, err := validation.NewSchemaValidator(found.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("version %q: %w", version, err)
	}
	return &server{
		structural: structural,
		validator:  validator,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// admit runs one object through the pipeline; object is changed in place.
func (s *server) admit(object map[string]any) admitted {
	pruning.Prune(object, s.structural, true)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.structural)
	defaulting.Default(object, s.structural)
	var found field.ErrorList
	found = append(found, validation.ValidateCustomResource(nil, object, s.validator)...)
	found = append(found, objectmeta.Validate(context.Background(), nil, object, s.structural, true)...)
	found = append(found, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if s.rules != nil && len(found) == 0 {
		errs, _ := s.rules.Validate(context.Background(), nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
		found = append(found, errs...)
	}
	result := admitted{Object: object, Errors: []string{}}
	for _, e := range found {
		result.Errors = append(result.Errors, e.Error())
	}
	return result
}
