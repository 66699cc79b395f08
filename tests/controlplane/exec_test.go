package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestExecPassesOnInputOutputAndCode(t *testing.T) {
	t.Parallel()
	audit := filepath.Join(t.TempDir(), "audit.log")
	cmd, stderr := program(t, "exec", "--audit", audit, "--", "sh", "-c",
		`read line; echo "$line $CTXSCAFFOLD_AUDIT_LOG"; "$KUBEBUILDER_ASSETS/kubectl" get namespace default -o name; exit 7`)
	var stdout bytes.Buffer
	cmd.Stdin, cmd.Stdout = strings.NewReader("hello\n"), &stdout
	mustStart(t, cmd)
	mustExit(t, cmd, stderr, 7)
	if want := "hello " + audit + "\nnamespace/default\n"; stdout.String() != want {
		t.Errorf("output %q, want %q", &stdout, want)
	}
	if found, err := os.Stat(audit); err != nil || found.Size() == 0 {
		t.Errorf("no audit log (%v)", err)
	}
}

func TestExecForwardsSignals(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		script string // "ready" tells the test the process id
		signal syscall.Signal
		want   int
	}{
		"to a command that handles it":  {"trap 'exit 9' INT; ready; while :; do sleep 0.02; done", syscall.SIGINT, 9},
		"to a command that does not":    {"ready; exec sleep 1000", syscall.SIGTERM, 128 + int(syscall.SIGTERM)},
		"to what the command waits for": {"trap : TERM; (trap - TERM; ready; exec sleep 1000); exit 5", syscall.SIGTERM, 5},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := newMailbox(t)
			cmd, stderr := program(t, "exec", "--", "sh", "-c", fmt.Sprintf("ready() { echo $$ > %s; }; %s", box, c.script))
			mustStart(t, cmd)
			pid := box.receive(t)
			mustSignal(t, cmd, c.signal)
			mustExit(t, cmd, stderr, c.want)
			mustBeGone(t, pid)
		})
	}
}

func TestExecSignalledBeforeReady(t *testing.T) {
	t.Parallel()
	fake := newFakePlane(t, "exec sleep 1000", "exec sleep 1000")
	cmd, stderr := program(t, "exec", "--", "true")
	cmd.Env = append(cmd.Env, assetsEnv+"="+fake.assets)
	mustStart(t, cmd)
	pids := fake.started(t)
	mustSignal(t, cmd, syscall.SIGTERM)
	mustExit(t, cmd, stderr, exitExecFailed)
	mustContain(t, stderr.String(), "terminated signal received")
	mustBeGone(t, pids...)
}

func TestExecOfNoCommand(t *testing.T) {
	t.Parallel()
	cmd, stderr := program(t, "exec", "--", "no-such-command")
	mustStart(t, cmd)
	mustExit(t, cmd, stderr, exitExecFailed)
	mustContain(t, stderr.String(), `"no-such-command"`, "fix: ")
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	given := []string{"HOME=/home/me", "KUBECONFIG=/home/me/.kube/config", "CTXSCAFFOLD_AUDIT_LOG=/old", "KUBECONFIG_X=y"}
	got := environment(given, info{Kubeconfig: "/state/kubeconfig", Assets: "/assets"})
	slices.Sort(got)
	want := []string{
		"HOME=/home/me", "KUBEBUILDER_ASSETS=/assets", "KUBECONFIG=/state/kubeconfig", "KUBECONFIG_X=y", "USE_EXISTING_CLUSTER=true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}
