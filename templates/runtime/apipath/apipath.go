// Package apipath reads the paths of requests to the Kubernetes API.
package apipath

import (
	"fmt"
	"strings"

	"k8s.io/client-go/rest"
)

// Root returns the path under which the API server of cfg is served. Its host may be a URL
// or a host and a port.
func Root(cfg *rest.Config) (string, error) {
	server, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return "", fmt.Errorf("host of the API server: %w", err)
	}
	return server.Path, nil
}

// Info is what a path names. The zero Info is a path that is not of an object, such as
// those of discovery.
type Info struct {
	Group, Version, Resource string
	// Namespace is empty for what is in none, and for a list across all of them. A
	// Namespace object is in none.
	Namespace string
	// Name is empty for a collection.
	Name        string
	Subresource string
}

// Parse reads a path at an API server served under root: after that it is /api/v1 or
// /apis/GROUP/VERSION, then [/watch][/namespaces/NAMESPACE]/RESOURCE[/NAME[/SUBRESOURCE]].
func Parse(path, root string) Info {
	s := strings.Split(strings.Trim(strings.TrimPrefix(path, strings.TrimSuffix(root, "/")), "/"), "/")
	var i Info
	switch {
	case len(s) > 2 && s[0] == "api":
		i.Version, s = s[1], s[2:]
	case len(s) > 3 && s[0] == "apis":
		i.Group, i.Version, s = s[1], s[2], s[3:]
	default:
		return Info{}
	}
	if len(s) > 1 && s[0] == "watch" { // the old way to watch, which is still served
		s = s[1:]
	}
	if len(s) > 2 && s[0] == "namespaces" && (len(s) > 3 || !ofNamespace(s[2])) {
		i.Namespace, s = s[1], s[2:]
	}
	i.Resource = s[0]
	if len(s) > 1 {
		i.Name = s[1]
	}
	if len(s) > 2 {
		i.Subresource = s[2]
	}
	return i
}

// ofNamespace reports whether what follows a namespace's name is a subresource of it.
func ofNamespace(s string) bool { return s == "status" || s == "finalize" }

// GroupResource is the resource and its group: "deployments.apps", or "pods" of the core.
func (i Info) GroupResource() string {
	if i.Group == "" {
		return i.Resource
	}
	return i.Resource + "." + i.Group
}
