//go:build integration

package conformance

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestCollection(t *testing.T) {
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	for path, want := range map[string]schema.GroupVersionResource{
		"/apis/apps/v1/deployments":                        deployments,
		"/apis/apps/v1/namespaces/default/deployments":     deployments,
		"/apis/apps/v1/namespaces/default/deployments/one": {},
		"/apis/apps/v1":                   {},
		"/apis":                           {},
		"/api/v1/namespaces":              {Version: "v1", Resource: "namespaces"},
		"/api/v1/namespaces/default":      {},
		"/api/v1/namespaces/default/pods": {Version: "v1", Resource: "pods"},
		"/readyz":                         {},
	} {
		got, ok := collection(path)
		if ok != (want != schema.GroupVersionResource{}) || ok && got != want {
			t.Errorf("collection(%q) = %v, %t, want %v", path, got, ok, want)
		}
	}
}
