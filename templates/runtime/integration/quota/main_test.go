//go:build integration

package quota_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
)

// plane is what the tests run on.
var plane *cluster.Cluster

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	if namespace := os.Getenv(asCreator); namespace != "" {
		if err := createMany(context.Background(), namespace); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	var err error
	if plane, err = cluster.Start(context.Background(), "namespace-controller", "resourcequota-controller"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := plane.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
