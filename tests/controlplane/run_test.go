package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRunStops(t *testing.T) {
	t.Parallel()
	ways := map[string]func(t *testing.T, r *running){
		"input closes": func(t *testing.T, r *running) {
			if err := r.stdin.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"SIGTERM": func(t *testing.T, r *running) { mustSignal(t, r.cmd, syscall.SIGTERM) },
		"SIGINT":  func(t *testing.T, r *running) { mustSignal(t, r.cmd, syscall.SIGINT) },
		"SIGHUP":  func(t *testing.T, r *running) { mustSignal(t, r.cmd, syscall.SIGHUP) },
	}
	for name, stop := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRun(t, "--controller-manager")
			if len(r.PIDs) != 3 {
				t.Errorf("components %v, want three", r.PIDs)
			}
			watch, err := r.client(t).CoreV1().Namespaces().Watch(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer watch.Stop()
			stop(t, r) // with a client that does not go
			mustExit(t, r.cmd, r.stderr, exitOK)
			mustBeGone(t, r.pids()...)
			if _, err := os.Stat(filepath.Dir(r.Kubeconfig)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the temporary state is still there (%v)", err)
			}
			if r.stderr.Len() > 0 {
				t.Errorf("it complained: %s", r.stderr)
			}
		})
	}
}

func TestRunKeepsNamedFiles(t *testing.T) {
	t.Parallel()
	dir, kubeconfig := filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "admin")
	r := startRun(t, "--dir", dir, "--kubeconfig", kubeconfig)
	if r.Kubeconfig != kubeconfig {
		t.Errorf("kubeconfig %s, want %s", r.Kubeconfig, kubeconfig)
	}
	if _, err := r.client(t).Discovery().ServerVersion(); err != nil {
		t.Error(err)
	}
	if err := r.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	mustExit(t, r.cmd, r.stderr, exitOK)
	for _, path := range []string{filepath.Join(dir, "etcd.log"), filepath.Join(dir, "kube-apiserver.log"), kubeconfig} {
		if found, err := os.Stat(path); err != nil || found.Size() == 0 {
			t.Errorf("%s is missing or empty (%v)", path, err)
		}
	}
	if err := checkKubeconfig(kubeconfig); err != nil {
		t.Errorf("the next run would refuse its own file: %v", err)
	}
}

func TestAuthorizationIsOn(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	review, err := r.client(t).AuthorizationV1().SubjectAccessReviews().Create(t.Context(), readSecretsAs("somebody"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if review.Status.Allowed {
		t.Error("a user without a role may read secrets")
	}
}

func TestComponentsIgnoreTheEnvironment(t *testing.T) {
	t.Parallel()
	cmd, stderr := program(t, "run")
	cmd.Env = append(cmd.Env, "ETCD_MAX_REQUEST_BYTES=plenty", "HTTPS_PROXY=http://127.0.0.1:1")
	r := startRunCommand(t, cmd, stderr)
	if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", r.PIDs[apiServer.name])); err == nil && bytes.Contains(environ, []byte("PROXY")) {
		t.Errorf("the API server has the proxy: %q", environ)
	}
}

func TestTwoAtOnceShareNothing(t *testing.T) {
	t.Parallel()
	var planes [2]*running
	var starting sync.WaitGroup
	for i := range planes {
		starting.Go(func() { planes[i] = startRun(t) })
	}
	starting.Wait()
	if planes[0] == nil || planes[1] == nil {
		t.FailNow()
	}
	if planes[0].URL == planes[1].URL || planes[0].Kubeconfig == planes[1].Kubeconfig {
		t.Errorf("both are %s, %s", planes[0].URL, planes[0].Kubeconfig)
	}
	only := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "only-here"}}
	if _, err := planes[0].client(t).CoreV1().ConfigMaps("default").Create(t.Context(), only, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := planes[1].client(t).CoreV1().ConfigMaps("default").Get(t.Context(), "only-here", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the other control plane has it too (%v)", err)
	}
}

func TestRunEndsWithItsComponents(t *testing.T) {
	t.Parallel()
	for _, c := range []component{etcd, apiServer, controllerManager} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := startRun(t, "--controller-manager")
			if err := syscall.Kill(r.PIDs[c.name], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			mustExit(t, r.cmd, r.stderr, exitFailure)
			mustContain(t, r.stderr.String(), c.name+" ended by itself: signal: killed", "end of its log:", "fix: ")
			if strings.Contains(r.stderr.String(), "did not stop") {
				t.Errorf("it waited for the others to end: %s", r.stderr)
			}
			mustBeGone(t, r.pids()...)
		})
	}
}
