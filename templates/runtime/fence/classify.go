package fence

import (
	"net/http"
	"strings"
)

// effect is what a request may do.
type effect int

const (
	harmless effect = iota // changes nothing that others work on
	write                  // changes objects
	connect                // opens a stream to something that may do anything
)

// classify tells what r may do at an API server served under root. What is not
// known to be harmless counts as a write.
func classify(r *http.Request, root string) effect {
	group, resource, subresource := parse(r, root)
	switch subresource {
	case "exec", "attach", "portforward", "proxy":
		return connect
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return harmless
	}
	switch group {
	case "authorization.k8s.io": // has nothing but reviews
		return harmless
	case "authentication.k8s.io":
		if resource == "tokenreviews" || resource == "selfsubjectreviews" {
			return harmless
		}
	case "", "events.k8s.io":
		if resource == "events" && r.Method != http.MethodDelete {
			return harmless
		}
	}
	if r.URL.Query().Get("dryRun") == "All" {
		return harmless
	}
	return write
}

// parse splits the path of a request to an API server served under root, which
// is, after root, /api/v1 or /apis/GROUP/VERSION, then [/namespaces/NAMESPACE]/RESOURCE[/NAME[/SUBRESOURCE]].
func parse(r *http.Request, root string) (group, resource, subresource string) {
	path := strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(root, "/"))
	s := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(s) > 2 && s[0] == "api":
		s = s[2:]
	case len(s) > 3 && s[0] == "apis":
		group, s = s[1], s[3:]
	default:
		return "", "", ""
	}
	if len(s) > 2 && s[0] == "namespaces" {
		s = s[2:]
	}
	if len(s) > 2 {
		subresource = s[2]
	}
	return group, s[0], subresource
}

// Write tells whether r, a request to an API server served under root, counts as
// a write, and of which resource: "deployments.apps", or "pods" of the core.
func Write(r *http.Request, root string) (resource string, writes bool) {
	if classify(r, root) != write {
		return "", false
	}
	group, resource, _ := parse(r, root)
	if group == "" {
		return resource, true
	}
	return resource + "." + group, true
}
