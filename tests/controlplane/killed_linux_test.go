package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// watchEnds returns a function that waits for the end of processes that are not
// the test's children.
func watchEnds(t *testing.T, pids []int) (wait func()) {
	t.Helper()
	watched := map[int]int{}
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatalf("process %d: %v", pid, err)
		}
		watched[pid] = fd
	}
	return func() {
		t.Helper()
		for pid, fd := range watched {
			ended, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(deadline.Milliseconds()))
			if err != nil || ended != 1 {
				t.Errorf("process %d is still there (%v)", pid, err)
				_ = unix.Kill(pid, unix.SIGKILL)
			}
			_ = unix.Close(fd)
		}
	}
}

func TestKilledRunLeavesNothing(t *testing.T) {
	t.Parallel()
	temporary := t.TempDir()
	start := func() *running {
		cmd, stderr := program(t, "run", "--controller-manager")
		cmd.Env = append(cmd.Env, "TMPDIR="+temporary)
		return startRunCommand(t, cmd, stderr)
	}
	r := start()
	wait := watchEnds(t, r.pids())
	mustSignal(t, r.cmd, syscall.SIGKILL)
	wait()
	abandoned := filepath.Dir(r.Kubeconfig)
	if _, err := os.Stat(abandoned); err != nil {
		t.Fatalf("nothing to clean up: %v", err)
	}
	next := start()
	folders, err := filepath.Glob(filepath.Join(temporary, statePrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) != 1 || folders[0] != filepath.Dir(next.Kubeconfig) {
		t.Errorf("folders %v, want that of the running control plane alone", folders)
	}
}

func TestKilledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	fake := newFakePlane(t, "exec sleep 1000", "exec sleep 1000")
	cmd, _ := program(t, "run")
	cmd.Env = append(cmd.Env, assetsEnv+"="+fake.assets, "TMPDIR="+t.TempDir())
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	mustStart(t, cmd)
	wait := watchEnds(t, fake.started(t))
	mustSignal(t, cmd, syscall.SIGKILL)
	wait()
	_ = cmd.Wait() // it was killed
}

func TestKilledExecTakesItsCommandAlong(t *testing.T) {
	t.Parallel()
	box := newMailbox(t)
	cmd, _ := program(t, "exec", "--", "sh", "-c", "echo $$ > "+string(box)+"; exec sleep 1000")
	cmd.Env = append(cmd.Env, "TMPDIR="+t.TempDir())
	mustStart(t, cmd)
	wait := watchEnds(t, []int{box.receive(t)})
	mustSignal(t, cmd, syscall.SIGKILL)
	wait()
	_ = cmd.Wait() // it was killed
}

func TestTiedToTheProgramNotToAThread(t *testing.T) {
	t.Parallel()
	cmd, thread := startOnDyingThread(t)
	eventually(t, "thread gone", func() (bool, error) {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return errors.Is(err, fs.ErrNotExist), err
	})
	// It has got the signal of its thread's death by now, if there is one.
	if err := signalGroup(cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the child ended with %v", err)
	}
}

// startOnDyingThread calls startTied on a thread that ends right after.
func startOnDyingThread(t *testing.T) (cmd *exec.Cmd, thread int) {
	t.Helper()
	for {
		cmd = exec.Command("sleep", "1000")
		cmd.SysProcAttr = ownGroup()
		started := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocked: it goes with its goroutine
			thread = unix.Gettid()
			started <- startTied(cmd)
		}()
		if err := <-started; err != nil {
			t.Fatal(err)
		}
		if thread != os.Getpid() {
			return cmd, thread
		}
		// The main thread alone does not end, and is not used again.
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
	}
}

func TestExecTakesAlongWhatItsCommandLeft(t *testing.T) {
	t.Parallel()
	box := newMailbox(t)
	cmd, stderr := program(t, "exec", "--", "sh", "-c", fmt.Sprintf("sleep 1000 & echo $! > %s; read line", box))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	mustStart(t, cmd)
	wait := watchEnds(t, []int{box.receive(t)})
	if _, err := stdin.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	mustExit(t, cmd, stderr, exitOK)
	wait()
}

func TestExecEndsWithTheControlPlane(t *testing.T) {
	t.Parallel()
	box := newMailbox(t)
	cmd, stderr := program(t, "exec", "--", "sh", "-c", fmt.Sprintf("echo $$ > %s; exec sleep 1000", box))
	mustStart(t, cmd)
	pid := box.receive(t)
	server := childNamed(t, cmd.Process.Pid, etcd.name)
	if err := syscall.Kill(server, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	mustExit(t, cmd, stderr, exitExecFailed)
	mustContain(t, stderr.String(), "etcd ended by itself: signal: killed")
	mustBeGone(t, pid, server)
}

func TestInterruptedBuildCleansUp(t *testing.T) {
	t.Parallel()
	cache, bin, box := t.TempDir(), t.TempDir(), newMailbox(t)
	script(t, filepath.Join(bin, "go"), fmt.Sprintf("sleep 1000 & echo $! > %s; wait\n", box))
	cmd, stderr := builder(t, cache)
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	mustStart(t, cmd)
	wait := watchEnds(t, []int{box.receive(t)}) // what go compiles with
	mustSignal(t, cmd, syscall.SIGINT)
	mustExit(t, cmd, stderr, exitFailure)
	mustContain(t, stderr.String(), "interrupt")
	wait()
	if left, err := filepath.Glob(filepath.Join(cache, "controlplane", "*", ".build-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
}

// childNamed returns the id of a child process that runs a program of this name.
func childNamed(t *testing.T, parent int, name string) int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, child := range strings.Fields(string(children)) {
			comm, err := os.ReadFile("/proc/" + child + "/comm")
			if err != nil || string(bytes.TrimSpace(comm)) != name {
				continue
			}
			pid, err := strconv.Atoi(child)
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("process %d has no child %s", parent, name)
	return 0
}
