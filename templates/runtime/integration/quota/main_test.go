//go:build integration

package quota_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// group is the API group of the quotas of this operator.
const group = "tenancy.test.ctxscaffold.dev"

var (
	config         *rest.Config
	kubeconfigFile string
)

// TestMain runs an API server with the emitted CRDs, and the controller manager, which
// counts what quotas bound.
func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	if namespace := os.Getenv(asCreator); namespace != "" {
		if err := createMany(context.Background(), namespace); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	folder, err := os.MkdirTemp("", "quota-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code, err := serve(m, folder)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := os.RemoveAll(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// serve runs the tests on a control plane whose files are in folder.
func serve(m *testing.M, folder string) (code int, err error) {
	crds, err := emitted(folder)
	if err != nil {
		return 0, err
	}
	server := &envtest.Environment{CRDDirectoryPaths: []string{"../testdata", crds}, ErrorIfCRDPathMissing: true}
	if config, err = server.Start(); err != nil {
		return 0, fmt.Errorf("start the API server: %w", err)
	}
	defer func() {
		if stopErr := server.Stop(); stopErr != nil && err == nil {
			err = fmt.Errorf("stop the API server: %w", stopErr)
		}
	}()
	config.QPS = -1
	kubeconfigFile = filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(kubeconfigFile, server.KubeConfig, 0o600); err != nil {
		return 0, err
	}
	stop, err := startControllerManager()
	if err != nil {
		return 0, err
	}
	defer stop()
	return m.Run(), nil
}

// emitted writes the CRDs as they are emitted, but for the group, into a folder.
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
		text = bytes.ReplaceAll(text, []byte("{{ project.tenancy_group }}"), []byte(group))
		if err := os.WriteFile(filepath.Join(crds, name), text, 0o600); err != nil {
			return "", err
		}
	}
	return crds, nil
}

// startControllerManager runs the controllers that quotas and namespaces depend on.
func startControllerManager() (stop func(), err error) {
	binary := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kube-controller-manager")
	manager := exec.Command(binary, "--kubeconfig="+kubeconfigFile,
		"--controllers=namespace-controller,resourcequota-controller", "--resource-quota-sync-period=1s",
		"--leader-elect=false", "--secure-port=0")
	if err := manager.Start(); err != nil {
		return nil, fmt.Errorf("start the controller manager: %w", err)
	}
	return func() {
		_ = manager.Process.Kill()
		_ = manager.Wait()
	}, nil
}

// scheme knows the types of the tests and those of quotas.
func scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, runtimetest.AddToScheme, quota.AddToScheme(group)} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// direct returns a client without a cache.
func direct(t testing.TB) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits until what holds, which is empty, or says what is still wrong.
func eventually(t testing.TB, what string, wrong func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		fault := wrong()
		if fault == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in 30s: %s", what, fault)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// makeNamespace makes a namespace, with labels given as name=value.
func makeNamespace(t testing.TB, name string, labels ...string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, label := range labels {
		k, v, _ := strings.Cut(label, "=")
		ns.Labels[k] = v
	}
	if err := direct(t).Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
}

// patch changes an object.
func patch(t testing.TB, obj client.Object, change any) {
	t.Helper()
	text, err := json.Marshal(change)
	if err != nil {
		t.Fatal(err)
	}
	if err := direct(t).Patch(t.Context(), obj, client.RawPatch("application/merge-patch+json", text)); err != nil {
		t.Fatal(err)
	}
}
