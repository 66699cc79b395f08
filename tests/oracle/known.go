package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/types"
	"sort"

	"golang.org/x/tools/go/packages"
	"sigs.k8s.io/controller-tools/pkg/crd"
	crdmarkers "sigs.k8s.io/controller-tools/pkg/crd/markers"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/controller-tools/pkg/markers"
)

// knownType is a struct of Kubernetes' own as controller-gen sees it.
type knownType struct {
	Package string `json:"package"`
	Name    string `json:"name"`
	Schema  any    `json:"schema"`
	// Shallow says that assigning a value copies all of it.
	Shallow bool `json:"shallow"`
}

// known lists the exported struct types of the packages in Args.Packages with
// the schema controller-gen makes of each: {"types": [...]}, sorted. Args.Dir
// is a module that requires them, which fixes their release. Args.EmbeddedMeta
// is controller-gen's generateEmbeddedObjectMeta.
func known(raw json.RawMessage) (any, error) {
	var args struct {
		Dir          string   `json:"dir"`
		Packages     []string `json:"packages"`
		EmbeddedMeta bool     `json:"embedded_meta"`
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	roots, err := loader.LoadRootsWithConfig(&packages.Config{Dir: args.Dir}, args.Packages...)
	if err != nil {
		return nil, fmt.Errorf("loading: %w", err)
	}
	registry := &markers.Registry{}
	if err := crdmarkers.Register(registry); err != nil {
		return nil, err
	}
	parser := &crd.Parser{
		Collector:                  &markers.Collector{Registry: registry},
		Checker:                    &loader.TypeChecker{NodeFilters: []loader.NodeFilter{crd.Generator{}.CheckFilter()}},
		AllowDangerousTypes:        true,
		GenerateEmbeddedObjectMeta: args.EmbeddedMeta,
	}
	crd.AddKnownTypes(parser)
	found := []knownType{}
	for _, root := range roots {
		parser.NeedPackage(root)
		root.NeedTypesInfo()
		for _, name := range root.Types.Scope().Names() {
			object, isType := root.Types.Scope().Lookup(name).(*types.TypeName)
			if !isType || !ast.IsExported(name) || object.IsAlias() {
				continue
			}
			if _, isStruct := object.Type().Underlying().(*types.Struct); !isStruct {
				continue
			}
			ident := crd.TypeIdent{Package: root, Name: name}
			if _, indexed := parser.Types[ident]; !indexed {
				continue
			}
			parser.NeedFlattenedSchemaFor(ident)
			found = append(found, knownType{root.PkgPath, name, parser.FlattenedSchemata[ident], shallow(object.Type())})
		}
	}
	sort.Slice(found, func(i, j int) bool {
		return found[i].Package+"."+found[i].Name < found[j].Package+"."+found[j].Name
	})
	return map[string]any{"types": found}, nil
}

// shallow says whether assigning a value of a type copies all of it.
func shallow(t types.Type) bool {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Kind() != types.Invalid
	case *types.Struct:
		for field := range t.Fields() {
			if !shallow(field.Type()) {
				return false
			}
		}
		return true
	default:
		return false
	}
}
