package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// deadline bounds every wait of a test. It is only reached by a failure.
const deadline = time.Minute

// asProgram makes the test binary behave as the program, so that tests can
// start, signal and kill it.
const asProgram = "CONTROLPLANE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(dispatch(os.Args[1:]))
	}
	// The tests are about what the program builds, not about what there is.
	_ = os.Unsetenv(assetsEnv)
	if _, err := ensureAssets(context.Background(), allComponents, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// program returns a command that runs the program with these arguments and
// writes its standard error to the returned buffer.
func program(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stderr := &bytes.Buffer{}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = stderr
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = 10 * time.Second // if what it leaves behind keeps its output open
	return cmd, stderr
}

// mustStart starts a command that does not outlive the test.
func mustStart(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := startTied(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // the test has not waited for it
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	})
}

// running is the command "run" after it has printed its info.
type running struct {
	info
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *bytes.Buffer
}

// startRun runs a control plane until the end of the test.
func startRun(t *testing.T, args ...string) *running {
	t.Helper()
	cmd, stderr := program(t, append([]string{"run"}, args...)...)
	return startRunCommand(t, cmd, stderr)
}

func startRunCommand(t *testing.T, cmd *exec.Cmd, stderr *bytes.Buffer) *running {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	mustStart(t, cmd)
	r := &running{cmd: cmd, stdin: stdin, stderr: stderr}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		_ = cmd.Wait() // for all that it has to say
		t.Fatalf("run printed no info: %v\n%s", err, stderr)
	}
	if err := json.Unmarshal(line, &r.info); err != nil {
		t.Fatalf("run printed %q: %v", line, err)
	}
	return r
}

// client returns a client with the administrator's rights.
func (r *running) client(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", r.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// pids returns the process ids of the components.
func (r *running) pids() []int {
	var pids []int
	for _, pid := range r.PIDs {
		pids = append(pids, pid)
	}
	return pids
}

// mustBeGone fails the test unless the processes have ended and been waited for.
func mustBeGone(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("process %d is still there (%v)", pid, err)
		}
	}
}

// mustExit waits for the end of cmd and fails the test unless its exit code is
// want.
func mustExit(t *testing.T, cmd *exec.Cmd, stderr *bytes.Buffer, want int) {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, stderr)
	}
	if code := exitCode(cmd.ProcessState); code != want {
		t.Fatalf("exit code %d, want %d\n%s", code, want, stderr)
	}
}

// mustContain fails the test unless text has each part in it.
func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// mustSignal sends a signal to a command.
func mustSignal(t *testing.T, cmd *exec.Cmd, signal syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// eventually fails the test unless the condition becomes true.
func eventually(t *testing.T, what string, condition func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		met, err := condition()
		if met {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not after %s (%v)", what, deadline, err)
		case <-ticker.C:
		}
	}
}

// script writes an executable shell script.
func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
		t.Fatal(err)
	}
}

// mailbox is a named pipe through which a script tells a number, usually a
// process id, as in: echo $$ > PATH.
type mailbox string

func newMailbox(t *testing.T) mailbox {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mailbox")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return mailbox(path)
}

// receive waits for one number.
func (m mailbox) receive(t *testing.T) int {
	t.Helper()
	type result struct {
		text []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		text, err := os.ReadFile(string(m))
		read <- result{text, err}
	}()
	select {
	case r := <-read:
		number, err := strconv.Atoi(strings.TrimSpace(string(r.text)))
		if err := errors.Join(r.err, err); err != nil {
			t.Fatal(err)
		}
		return number
	case <-time.After(deadline):
		t.Fatal("nothing came")
		return 0
	}
}
