//go:build integration

package conformance

import (
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Start returns a connection to an API server that serves the CRDs in the
// folder crds. A server that was started for the test ends with it.
func Start(t *testing.T, crds string) *rest.Config {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	server := &envtest.Environment{CRDDirectoryPaths: []string{crds}, ErrorIfCRDPathMissing: true}
	config, err := server.Start()
	if err != nil {
		t.Fatalf("start an API server: %v\nKUBEBUILDER_ASSETS must name a folder with kube-apiserver and etcd", err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	return config
}
