package fence

import (
	"net/http"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apipath"
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
	path := apipath.Parse(r.URL.Path, root)
	switch path.Subresource {
	case "exec", "attach", "portforward", "proxy":
		return connect
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return harmless
	}
	switch path.Group {
	case "authorization.k8s.io": // has nothing but reviews
		return harmless
	case "authentication.k8s.io":
		if path.Resource == "tokenreviews" || path.Resource == "selfsubjectreviews" {
			return harmless
		}
	case "", "events.k8s.io":
		if path.Resource == "events" && r.Method != http.MethodDelete {
			return harmless
		}
	}
	if r.URL.Query().Get("dryRun") == "All" {
		return harmless
	}
	return write
}

// Reads tells whether r, a request to an API server served under root, can do nothing but
// read.
func Reads(r *http.Request, root string) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return classify(r, root) == harmless
	}
	return false
}

// Write tells whether r, a request to an API server served under root, counts as
// a write, and of which resource: "deployments.apps", or "pods" of the core.
func Write(r *http.Request, root string) (resource string, writes bool) {
	if classify(r, root) != write {
		return "", false
	}
	return apipath.Parse(r.URL.Path, root).GroupResource(), true
}
