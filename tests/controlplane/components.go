package main

import (
	"debug/buildinfo"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// The module's own go.mod and go.sum are the one place where versions are
// pinned. They are embedded so that the program builds the components wherever
// it is run, with no need for its sources.
var (
	//go:embed go.mod
	goMod []byte
	//go:embed go.sum
	goSum []byte
)

// component is a program of the control plane, built from a Go module.
type component struct {
	name   string // of the binary
	pkg    string // import path of its main package
	module string // module that holds the package
}

var (
	etcd              = component{"etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"}
	apiServer         = component{"kube-apiserver", kubernetesModule + "/cmd/kube-apiserver", kubernetesModule}
	controllerManager = component{"kube-controller-manager", kubernetesModule + "/cmd/kube-controller-manager", kubernetesModule}
	kubectl           = component{"kubectl", kubernetesModule + "/cmd/kubectl", kubernetesModule}

	allComponents = []component{etcd, apiServer, controllerManager, kubectl}
)

const kubernetesModule = "k8s.io/kubernetes"

// componentsNamed returns the components with these names, or all of them for
// none.
func componentsNamed(names []string) ([]component, error) {
	if len(names) == 0 {
		return allComponents, nil
	}
	var found []component
	for _, name := range names {
		i := slices.IndexFunc(allComponents, func(c component) bool { return c.name == name })
		if i < 0 {
			return nil, misuse(fmt.Errorf("there is no component %q", name), "choose among "+namesOf(allComponents))
		}
		found = append(found, allComponents[i])
	}
	return found, nil
}

// namesOf returns the names of the components, separated by commas.
func namesOf(components []component) string {
	var names []string
	for _, c := range components {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// pinned holds the version go.mod pins for each module it requires.
type pinned map[string]string

// readPins parses the embedded go.mod.
func readPins() (pinned, error) {
	file, err := modfile.ParseLax("go.mod", goMod, nil)
	if err != nil {
		return nil, fmt.Errorf("the embedded go.mod: %w", err)
	}
	pins := pinned{}
	for _, require := range file.Require {
		pins[require.Mod.Path] = require.Mod.Version
	}
	return pins, nil
}

// holds reports whether path is a finished build of the pinned version of c.
func (p pinned) holds(path string, c component) bool {
	info, err := buildinfo.ReadFile(path)
	return err == nil && info.Path == c.pkg && info.Main.Version == p[c.module]
}

// linkerFlags returns what makes the Kubernetes binaries report their version,
// which their own build scripts set in the same way, and leaves out the symbol
// tables, half of their size.
func (p pinned) linkerFlags() string {
	version := p[kubernetesModule]
	major, minor, _ := strings.Cut(strings.TrimPrefix(semver.MajorMinor(version), "v"), ".")
	flags := []string{"-s", "-w"}
	for _, set := range [][2]string{{"gitVersion", version}, {"gitMajor", major}, {"gitMinor", minor}} {
		flags = append(flags, "-X", "k8s.io/component-base/version."+set[0]+"="+set[1])
	}
	return strings.Join(flags, " ")
}
