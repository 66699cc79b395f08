package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	pins, err := readPins()
	if err != nil {
		t.Fatal(err)
	}
	binaries, err := cachedAssets(nil)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[component]struct {
		args []string
		want string
	}{
		etcd:              {[]string{"--version"}, "etcd Version: " + strings.TrimPrefix(pins[etcd.module], "v") + "\n"},
		apiServer:         {[]string{"--version"}, "Kubernetes " + pins[kubernetesModule] + "\n"},
		controllerManager: {[]string{"--version"}, "Kubernetes " + pins[kubernetesModule] + "\n"},
		kubectl:           {[]string{"version", "--client"}, "Client Version: " + pins[kubernetesModule] + "\n"},
	}
	for c, want := range cases {
		out, err := exec.Command(binaries.path(c), want.args...).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), want.want) {
			t.Errorf("%s says %q, want %q (%v)", c.name, out, want.want, err)
		}
	}
}

// builder returns a command that builds etcd into the cache folder, for this
// machine although the user works on something else.
func builder(t *testing.T, cache string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd, stderr := program(t, "build", etcd.name)
	cmd.Env = append(cmd.Env, cacheEnv+"="+cache, assetsEnv+"=", "GOOS=plan9", "GOARCH=386", "GOWORK=/none")
	return cmd, stderr
}

// mustHoldOnlyEtcd fails the test unless the cache has a good etcd and no
// remains of a build.
func mustHoldOnlyEtcd(t *testing.T, cache string) {
	t.Helper()
	pins, err := readPins()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(cache, "controlplane", "*", "*"))
	if err != nil || len(found) != 2 { // with the lock
		t.Fatalf("the cache holds %q (%v)", found, err)
	}
	for _, path := range found {
		if name := filepath.Base(path); name != ".lock" && (name != etcd.name || !pins.holds(path, etcd)) {
			t.Errorf("%s is no good etcd", path)
		}
	}
}

func TestConcurrentBuildsDoTheWorkOnce(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	var outputs [3]*bytes.Buffer
	var building sync.WaitGroup
	for i := range outputs {
		cmd, stderr := builder(t, cache)
		outputs[i] = stderr
		building.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("%v\n%s", err, stderr)
			}
		})
	}
	building.Wait()
	var built, waited int
	for _, output := range outputs {
		built += strings.Count(output.String(), "built etcd")
		waited += strings.Count(output.String(), "waiting for another build")
	}
	if built != 1 || waited != len(outputs)-1 {
		t.Errorf("%d built, %d waited; want 1 and %d", built, waited, len(outputs)-1)
	}
	mustHoldOnlyEtcd(t, cache)
}

func TestBuildAfterOneThatWasKilled(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	killed, _ := builder(t, cache)
	mustStart(t, killed)
	eventually(t, "build under way", func() (bool, error) {
		found, err := filepath.Glob(filepath.Join(cache, "controlplane", "*", ".build-*", "go.sum"))
		return len(found) == 1, err
	})
	mustSignal(t, killed, syscall.SIGKILL)
	_ = killed.Wait() // it was killed
	next, stderr := builder(t, cache)
	if err := next.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	mustHoldOnlyEtcd(t, cache)
}

func TestBuildFailures(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		goScript string // no go at all if empty
		want     []string
	}{
		"no go":       {"", []string{"go is not on the PATH", "fix: install Go", assetsEnv}},
		"no network":  {"echo 'dial tcp: no route to host' >&2; exit 1", []string{"go list for etcd v", "no route to host"}},
		"wrong build": {`[ "$1" = list ] || for last; do :; done; [ "$1" = list ] || while [ $# -gt 0 ]; do [ "$1" != -o ] || echo x > "$2"; shift; done`, []string{"something else than etcd v"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			if c.goScript != "" {
				script(t, filepath.Join(bin, "go"), c.goScript)
			}
			cmd, stderr := builder(t, t.TempDir())
			cmd.Env = append(cmd.Env, "PATH="+bin)
			mustStart(t, cmd)
			mustExit(t, cmd, stderr, exitFailure)
			mustContain(t, stderr.String(), c.want...)
		})
	}
}

func TestOnlyThePinnedBuildCounts(t *testing.T) {
	t.Parallel()
	pins, err := readPins()
	if err != nil {
		t.Fatal(err)
	}
	binaries, err := cachedAssets(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := binaries.path(etcd)
	if !pins.holds(good, etcd) {
		t.Error("the pinned build does not count")
	}
	if pins.holds(good, apiServer) {
		t.Error("etcd counts as an API server")
	}
	if (pinned{etcd.module: "v3.0.0"}).holds(good, etcd) {
		t.Error("a build of another version counts")
	}
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(t.TempDir(), etcd.name)
	if err := os.WriteFile(half, content[:64], 0o700); err != nil {
		t.Fatal(err)
	}
	if pins.holds(half, etcd) {
		t.Error("the beginning of a build counts")
	}
}

func TestGivenAssets(t *testing.T) {
	given := t.TempDir()
	for _, c := range []component{etcd, apiServer} {
		script(t, filepath.Join(given, c.name), "")
	}
	t.Setenv(assetsEnv, given)
	t.Setenv(cacheEnv, t.TempDir())
	found, err := findAssets([]component{etcd, apiServer})
	if err != nil || found.dir != given || len(found.missing) > 0 {
		t.Errorf("assets %+v, want those in %s (%v)", found, given, err)
	}
	found, err = findAssets([]component{etcd, controllerManager})
	if err != nil || found.dir == given || len(found.missing) != 2 {
		t.Errorf("assets %+v, want the empty cache: one component is not in %s (%v)", found, given, err)
	}
}

func TestWaitLockCanBeInterrupted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	held, err := tryLock(path)
	if err != nil || held == nil {
		t.Fatalf("lock %v (%v)", held, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	if _, err := waitLock(ctx, path, func() { cancel(stopped) }); !errors.Is(err, stopped) {
		t.Errorf("error %v, want %v", err, stopped)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := waitLock(t.Context(), path, func() { t.Error("it waits for a free lock") })
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out, "etcd v3")
	planned, logged := lineWriter(p.planned), lineWriter(p.logged)
	for _, text := range []string{"a\nb/c", "/d\ne\n"} {
		if _, err := planned.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := logged.Write([]byte("go: downloading x v1\nb/c/d\n# e\ne.go:1: no such thing\n")); err != nil {
		t.Fatal(err)
	}
	p.started = time.Now().Add(-90 * time.Second)
	if got, want := p.state(), "building etcd v3: 1m30s, 1 modules downloaded, 1 of 3 packages compiled"; got != want {
		t.Errorf("state %q, want %q", got, want)
	}
	if got, want := strings.Join(p.messages, "|"), "# e|e.go:1: no such thing"; got != want {
		t.Errorf("messages %q, want %q", got, want)
	}
}
