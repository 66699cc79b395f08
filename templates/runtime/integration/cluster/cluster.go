// Package cluster runs what tests of tenants need: an API server with the CRDs of tests and
// those of quotas as they are emitted, and a controller manager.
package cluster

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// Group is the API group of the quotas.
const Group = "tenancy.test.ctxscaffold.dev"

// Cluster is a running one.
type Cluster struct {
	// Config is an administrator's. It does not limit requests.
	Config *rest.Config
	// Kubeconfig is the path of a file that says the same.
	Kubeconfig string

	folder  string
	server  *envtest.Environment
	manager *exec.Cmd // nil until it runs

	once   sync.Once // makes the client
	client client.Client
	err    error
}

// Start starts a cluster with these controllers of the controller manager, which ends with
// ctx at the latest. It is called in a folder beside this one, as the tests of a package
// are. What was started before an error is stopped.
func Start(ctx context.Context, controllers ...string) (*Cluster, error) {
	folder, err := os.MkdirTemp("", "cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Kubeconfig: filepath.Join(folder, "kubeconfig"), folder: folder}
	if err := c.start(ctx, controllers); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, controllers []string) error {
	crds, err := emitted(c.folder)
	if err != nil {
		return err
	}
	c.server = &envtest.Environment{CRDDirectoryPaths: []string{"../testdata", crds}, ErrorIfCRDPathMissing: true}
	if c.Config, err = c.server.Start(); err != nil {
		return fmt.Errorf("start the API server: %w", err)
	}
	c.Config.QPS = -1
	if err := os.WriteFile(c.Kubeconfig, c.server.KubeConfig, 0o600); err != nil {
		return err
	}
	binary := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kube-controller-manager")
	manager := exec.CommandContext(ctx, binary, "--kubeconfig="+c.Kubeconfig, "--controllers="+strings.Join(controllers, ","),
		// Without the counts that the quota controller makes at any time beside those that
		// have a reason: each takes back what is being created in that moment.
		"--resource-quota-sync-period="+cmp.Or(os.Getenv("QUOTA_SYNC_PERIOD"), "24h"),
		// With 20 requests a second, the default, many tenants would wait for one another.
		"--kube-api-qps=1000", "--kube-api-burst=1000",
		"--leader-elect=false", "--secure-port=0")
	if err := manager.Start(); err != nil {
		return fmt.Errorf("start the controller manager: %w", err)
	}
	c.manager = manager
	return nil
}

// Stop stops the cluster and removes its files.
func (c *Cluster) Stop() error {
	if c.manager != nil {
		_ = c.manager.Process.Kill()
		_ = c.manager.Wait()
	}
	var err error
	if c.server != nil {
		err = c.server.Stop()
	}
	return errors.Join(err, os.RemoveAll(c.folder))
}

// emitted writes the CRDs of quotas as they are emitted, but for the group, into a folder.
func emitted(folder string) (string, error) {
	crds := filepath.Join(folder, "crds")
	if err := os.Mkdir(crds, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"tenantquota.yaml", "quotatemplate.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../../emit/quota", name+".jinja"))
		if err != nil {
			return "", err
		}
		text = bytes.ReplaceAll(text, []byte("{{ project.tenancy_group }}"), []byte(Group))
		if err := os.WriteFile(filepath.Join(crds, name), text, 0o600); err != nil {
			return "", err
		}
	}
	return crds, nil
}

// Scheme knows Kubernetes' own types, those of the tests and those of quotas.
var Scheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, runtimetest.AddToScheme, quota.AddToScheme(Group)} {
		utilruntime.Must(add(s))
	}
	return s
})
