package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Access is the right to an object that a route needs.
type Access struct {
	// Verb is what the caller must be allowed to do, such as get.
	Verb string
	// Group, Resource and Subresource say with what. Group is empty for the core.
	Group, Resource, Subresource string
}

// route is what has been registered with a pattern.
type route struct {
	path   string  // of the pattern, without its method and its host
	own    bool    // of the user, not of a kind
	access *Access // nil where the right is one to the path
}

// pathOf returns the path of a pattern: neither a method nor a host has a slash.
func pathOf(pattern string) (string, error) {
	i := strings.IndexByte(pattern, '/')
	if i < 0 {
		return "", errors.New("the pattern has no path")
	}
	return pattern[i:], nil
}

// discovered are the first parts of paths that RBAC's default roles are about.
var discovered = map[string]bool{"api": true, "apis": true, "openapi": true, "version": true, "healthz": true, "livez": true, "readyz": true}

// discoverable returns the first part of a path if system:discovery lets every account
// get what is below it, else nothing.
func discoverable(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if text, err := url.PathUnescape(first); err == nil {
		first = text
	}
	if discovered[first] {
		return first
	}
	return ""
}

// clean refuses a path of which two readers could make two: one is asked whether the
// caller may, another one where it leads.
func clean(u *url.URL) error {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return errors.New("the path does not begin with a slash")
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		text, err := url.PathUnescape(segment)
		switch {
		case err != nil:
			return err
		case text == "" && i < len(segments)-1, text == ".", text == "..":
			return fmt.Errorf("the path has a part %q", text)
		case strings.ContainsFunc(text, func(r rune) bool { return r == '/' || r == '\\' || r < ' ' || r == 0x7f }):
			return fmt.Errorf("the path has a part %q with a character that parts do not have", text)
		}
	}
	return nil
}

type attributesKey struct{}

// needing returns r for a review of the right that access asks for: to the object that
// the wildcards {namespace} and {name} of the route's path stand for.
func (a *Access) needing(r *http.Request, pattern string) *http.Request {
	needs := authorizer.AttributesRecord{
		Verb: a.Verb, APIGroup: a.Group, APIVersion: "*", Resource: a.Resource, Subresource: a.Subresource,
		ResourceRequest: true, Path: r.URL.Path,
	}
	segments := strings.Split(r.URL.Path, "/")
	for i, part := range strings.Split(pattern, "/") {
		switch {
		case i >= len(segments):
		case part == "{namespace}":
			needs.Namespace = segments[i]
		case part == "{name}":
			needs.Name = segments[i]
		}
	}
	return r.WithContext(context.WithValue(r.Context(), attributesKey{}, needs))
}
