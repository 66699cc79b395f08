package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// fakePlane is a folder with scripts in place of etcd and the API server.
type fakePlane struct {
	assets string
	boxes  []mailbox
	gate   string
}

// newFakePlane writes the scripts. Both say that they have started, and do what
// their bodies say once the test has seen that.
func newFakePlane(t *testing.T, etcdBody, apiServerBody string) fakePlane {
	t.Helper()
	f := fakePlane{assets: t.TempDir(), gate: filepath.Join(t.TempDir(), "gate")}
	for name, body := range map[string]string{etcd.name: etcdBody, apiServer.name: apiServerBody} {
		box := newMailbox(t)
		script(t, filepath.Join(f.assets, name), fmt.Sprintf("echo $$ > %s\nuntil [ -e %s ]; do sleep 0.01; done\n%s\n", box, f.gate, body))
		f.boxes = append(f.boxes, box)
	}
	return f
}

// started waits until both scripts run, lets them go on, and returns their
// process ids.
func (f fakePlane) started(t *testing.T) []int {
	t.Helper()
	var pids []int
	for _, box := range f.boxes {
		pids = append(pids, box.receive(t))
	}
	if err := os.WriteFile(f.gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return pids
}

func TestFailedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	const forever = "exec sleep 1000"
	cases := map[string]struct {
		etcd, apiServer string
		args            []string
		signal          syscall.Signal // sent when both have started
		want            []string
	}{
		"API server fails": {
			etcd:      forever,
			apiServer: "echo cannot do; exit 3",
			want:      []string{"kube-apiserver ended by itself: exit status 3", "    cannot do", "--dir DIR"},
		},
		"etcd fails": {
			etcd:      "echo no disk >&2; exit 4",
			apiServer: forever,
			want:      []string{"etcd ended by itself: exit status 4", "    no disk"},
		},
		"etcd ends in peace": {
			etcd:      "exit 0",
			apiServer: forever,
			want:      []string{"etcd ended by itself: exit status 0", "(empty)"},
		},
		"never ready": {
			etcd:      forever,
			apiServer: "echo still busy; " + forever,
			args:      []string{"--start-timeout", "1s"},
			want:      []string{"not ready after 1s", "still busy"},
		},
		"will not stop": {
			etcd:      "trap '' TERM; while :; do sleep 0.05; done",
			apiServer: forever,
			args:      []string{"--start-timeout", "1s"},
			want:      []string{"not ready after 1s", "etcd did not stop within 10s and is killed"},
		},
		"told to stop": {
			etcd:      forever,
			apiServer: forever,
			signal:    syscall.SIGTERM,
			want:      []string{"terminated signal received"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakePlane(t, c.etcd, c.apiServer)
			cmd, stderr := program(t, append([]string{"run"}, c.args...)...)
			temporary := t.TempDir()
			cmd.Env = append(cmd.Env, assetsEnv+"="+fake.assets, "TMPDIR="+temporary)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			mustStart(t, cmd)
			pids := fake.started(t)
			if c.signal != 0 {
				mustSignal(t, cmd, c.signal)
			}
			mustExit(t, cmd, stderr, exitFailure)
			mustContain(t, stderr.String(), c.want...)
			mustBeGone(t, pids...)
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
			_ = stdin.Close()
		})
	}
}

func TestInputClosedBeforeReady(t *testing.T) {
	t.Parallel()
	fake := newFakePlane(t, "exec sleep 1000", "exec sleep 1000")
	cmd, stderr := program(t, "run")
	cmd.Env = append(cmd.Env, assetsEnv+"="+fake.assets)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	mustStart(t, cmd)
	pids := fake.started(t)
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	mustExit(t, cmd, stderr, exitFailure)
	mustContain(t, stderr.String(), "standard input was closed before the control plane was ready")
	mustBeGone(t, pids...)
}

func TestRefusesToOverwrite(t *testing.T) {
	t.Parallel()
	foreign := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(foreign, []byte("apiVersion: v1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args []string
		want string
	}{
		"kubeconfig of another program": {[]string{"--kubeconfig", foreign}, "exists and is not of this program"},
		"kubeconfig in no folder":       {[]string{"--kubeconfig", filepath.Join(filepath.Dir(foreign), "none", "config")}, "no such file or directory"},
		"audit log with events":         {[]string{"--audit", foreign}, "is not empty"},
		"state folder in use":           {[]string{"--dir", filepath.Dir(foreign)}, "is not empty"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, stderr := program(t, append([]string{"run"}, c.args...)...)
			mustStart(t, cmd)
			mustExit(t, cmd, stderr, exitFailure)
			mustContain(t, stderr.String(), c.want, "fix: ")
			if content, err := os.ReadFile(foreign); err != nil || string(content) != "apiVersion: v1\n" {
				t.Errorf("the file is now %q (%v)", content, err)
			}
		})
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args []string
		want string
	}{
		"no command":        {nil, "Usage: controlplane"},
		"unknown command":   {[]string{"start"}, `no command "start"`},
		"unknown flag":      {[]string{"run", "--audits", "x"}, "-audits"},
		"flag with no text": {[]string{"run", "--audit"}, "-audit"},
		"argument of run":   {[]string{"run", "true"}, `no argument "true"`},
		"audit level":       {[]string{"run", "--audit-level", "Everything"}, `no audit level "Everything"`},
		"exec of nothing":   {[]string{"exec", "--"}, "exec has no command"},
		"component":         {[]string{"build", "kubelet"}, `no component "kubelet"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, stderr := program(t, c.args...)
			mustStart(t, cmd)
			mustExit(t, cmd, stderr, exitUsage)
			mustContain(t, stderr.String(), c.want)
		})
	}
}
