package apipath_test

import (
	"testing"

	"k8s.io/client-go/rest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apipath"
)

func TestParse(t *testing.T) {
	for path, want := range map[string]apipath.Info{
		"/api/v1/namespaces/a/configmaps/c":           {Version: "v1", Namespace: "a", Resource: "configmaps", Name: "c"},
		"/api/v1/namespaces/a/pods/p/exec":            {Version: "v1", Namespace: "a", Resource: "pods", Name: "p", Subresource: "exec"},
		"/api/v1/namespaces/a":                        {Version: "v1", Resource: "namespaces", Name: "a"},
		"/api/v1/namespaces/a/status":                 {Version: "v1", Resource: "namespaces", Name: "a", Subresource: "status"},
		"/api/v1/namespaces/a/finalize":               {Version: "v1", Resource: "namespaces", Name: "a", Subresource: "finalize"},
		"/apis/apps/v1/namespaces/a/deployments":      {Group: "apps", Version: "v1", Namespace: "a", Resource: "deployments"},
		"/apis/apps/v1/deployments":                   {Group: "apps", Version: "v1", Resource: "deployments"},
		"/apis/storage.k8s.io/v1/storageclasses/fast": {Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses", Name: "fast"},
		"/api/v1/watch/namespaces/a/configmaps":       {Version: "v1", Namespace: "a", Resource: "configmaps"},
		"/apis/apps/v1/watch/deployments":             {Group: "apps", Version: "v1", Resource: "deployments"},
		"/apis/apps/v1":                               {},
		"/version":                                    {},
	} {
		if got := apipath.Parse("/root"+path, "/root/"); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

func TestRoot(t *testing.T) {
	for host, want := range map[string]string{
		"":                           "",
		"127.0.0.1:6443":             "",
		"api.example:6443":           "",
		"https://api.example":        "",
		"https://h/k8s/clusters/c":   "/k8s/clusters/c",
		"http://127.0.0.1:8080/api/": "/api/",
	} {
		if got, err := apipath.Root(&rest.Config{Host: host}); err != nil || got != want {
			t.Errorf("%q: %q, %v", host, got, err)
		}
	}
	for _, host := range []string{"http://[::1", "127.0.0.1:6443/path"} {
		if _, err := apipath.Root(&rest.Config{Host: host}); err == nil {
			t.Errorf("%q is taken", host)
		}
	}
}
