package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/tools/go/packages"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/deepcopy"
	"sigs.k8s.io/controller-tools/pkg/genall"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/controller-tools/pkg/markers"
	"sigs.k8s.io/yaml"
)

// regenerated is what controller-gen makes of one project's API packages.
type regenerated struct {
	CRDs     []json.RawMessage `json:"crds"`
	DeepCopy map[string]string `json:"deepcopy"`
	Errors   []string          `json:"errors"`
}

// regenerate runs controller-gen's crd and object generators over API packages
// below Args.Dir. Args.Projects names the packages of each project, as patterns
// relative to Dir; all are loaded once and share their dependencies. The answer
// maps each project to a regenerated; deepcopy is keyed by package folder.
func regenerate(raw json.RawMessage) (any, error) {
	var args struct {
		Dir      string              `json:"dir"`
		Projects map[string][]string `json:"projects"`
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	var patterns []string
	for _, wanted := range args.Projects {
		patterns = append(patterns, wanted...)
	}
	sort.Strings(patterns)
	roots, err := loader.LoadRootsWithConfig(&packages.Config{Dir: args.Dir}, patterns...)
	if err != nil {
		return nil, fmt.Errorf("loading: %w", err)
	}
	byFolder := map[string]*loader.Package{}
	for _, root := range roots {
		if len(root.GoFiles) == 0 {
			continue
		}
		folder, err := filepath.Rel(args.Dir, filepath.Dir(root.GoFiles[0]))
		if err != nil {
			return nil, err
		}
		byFolder["./"+filepath.ToSlash(folder)] = root
	}
	runs, err := generators()
	if err != nil {
		return nil, err
	}
	results := map[string]regenerated{}
	for project, wanted := range args.Projects {
		var own []*loader.Package
		for _, pattern := range wanted {
			root, found := byFolder[pattern]
			if !found {
				return nil, fmt.Errorf("no package %s", pattern)
			}
			own = append(own, root)
		}
		results[project] = generate(runs, own, args.Dir)
	}
	return map[string]any{"projects": results}, nil
}

// run is a generator with the collector and checker it shares between projects.
type run struct {
	generator genall.Generator
	collector *markers.Collector
	checker   *loader.TypeChecker
}

// generators prepares the two generators as the emitted Makefile calls them.
func generators() ([]run, error) {
	yes := true
	var runs []run
	for _, generator := range []genall.Generator{
		crd.Generator{AllowDangerousTypes: &yes, OmitToolVersion: &yes},
		deepcopy.Generator{},
	} {
		registry := &markers.Registry{}
		if err := generator.RegisterMarkers(registry); err != nil {
			return nil, err
		}
		checker := &loader.TypeChecker{}
		if filtering, ok := generator.(genall.NeedsTypeChecking); ok {
			checker.NodeFilters = []loader.NodeFilter{filtering.CheckFilter()}
		}
		runs = append(runs, run{generator, &markers.Collector{Registry: registry}, checker})
	}
	return runs, nil
}

// generate runs both generators over the packages of one project.
func generate(runs []run, roots []*loader.Package, dir string) regenerated {
	result := regenerated{CRDs: []json.RawMessage{}, DeepCopy: map[string]string{}, Errors: []string{}}
	fail := func(err error) regenerated {
		result.Errors = append(result.Errors, err.Error())
		return result
	}
	for _, run := range runs {
		output := &memory{files: map[string]*bytes.Buffer{}, dir: dir}
		ctx := genall.GenerationContext{
			Collector:  run.collector,
			Roots:      roots,
			Checker:    run.checker,
			OutputRule: output,
		}
		if err := run.generator.Generate(&ctx); err != nil {
			return fail(err)
		}
		for _, name := range output.names() {
			if !strings.HasSuffix(name, ".yaml") {
				result.DeepCopy[name] = output.files[name].String()
				continue
			}
			converted, err := yaml.YAMLToJSON(output.files[name].Bytes())
			if err != nil {
				return fail(err)
			}
			result.CRDs = append(result.CRDs, converted)
		}
	}
	for _, root := range roots {
		for _, err := range root.Errors {
			// As controller-gen itself does: it checks types in part only.
			if err.Kind == packages.TypeError {
				continue
			}
			result.Errors = append(result.Errors, err.Error())
		}
	}
	return result
}

// memory is an output rule that keeps what generators write.
type memory struct {
	files map[string]*bytes.Buffer
	dir   string
}

// Open returns a buffer for a file of a package, or for a CRD if pkg is nil.
func (m *memory) Open(pkg *loader.Package, path string) (io.WriteCloser, error) {
	if pkg != nil {
		folder, err := filepath.Rel(m.dir, filepath.Dir(pkg.GoFiles[0]))
		if err != nil {
			return nil, err
		}
		path = "./" + filepath.ToSlash(folder)
	}
	buffer := &bytes.Buffer{}
	m.files[path] = buffer
	return closing{buffer}, nil
}

// names lists the files written, sorted.
func (m *memory) names() []string {
	names := make([]string, 0, len(m.files))
	for name := range m.files {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// closing is a buffer that can be closed.
type closing struct{ *bytes.Buffer }

// Close does nothing.
func (closing) Close() error { return nil }
