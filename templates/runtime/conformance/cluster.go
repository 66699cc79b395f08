//go:build integration

package conformance

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Start returns a connection to an API server of its own that serves the CRDs in the
// folder crds. It ends with the test. A cluster that is there already is never used,
// whatever USE_EXISTING_CLUSTER says: the tests change how a CRD's objects are converted,
// and what is stored of real ones would be lost.
func Start(t *testing.T, crds string) *rest.Config {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	server, err := start(crds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	return server.Config
}

// start leaves no process behind if it fails, as it does with CRDs that the
// API server refuses. The environment is for Stop and for its connection.
func start(crds string) (*envtest.Environment, error) {
	server := &envtest.Environment{CRDDirectoryPaths: []string{crds}, ErrorIfCRDPathMissing: true, UseExistingCluster: new(false)}
	if _, err := server.Start(); err != nil {
		return server, fmt.Errorf(
			"start an API server, from the folder KUBEBUILDER_ASSETS names, with the CRDs of %s: %w", crds, errors.Join(err, server.Stop()))
	}
	return server, nil
}
