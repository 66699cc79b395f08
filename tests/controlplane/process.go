package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a component may take to stop before it is killed.
	stopGrace = 10 * time.Second
	// tailLines is how much of a log goes into an error.
	tailLines = 15
)

// stopSignals ask the program to clean up and end.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// process is a running component.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string        // path of its output
	ended chan struct{} // closed when it has ended; err is set by then
	err   error
}

// startProcess starts a component in the folder dir, with its output in a log
// there and without the caller's environment: etcd takes settings from it, and
// the API server would send webhook calls through a proxy. The process is sent
// to ended when it has ended.
func startProcess(name, binary, dir string, args []string, ended chan<- *process) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	output, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	p.cmd = &exec.Cmd{
		Path:   binary,
		Args:   append([]string{binary}, args...),
		Dir:    dir,
		Env:    []string{"HOME=" + dir},
		Stdout: output,
		Stderr: output,
		// Ctrl-C in the terminal is for the program, which stops the components in order.
		SysProcAttr: ownGroup(),
	}
	if err := startTied(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
		ended <- p
	}()
	return p, nil
}

// hasEnded reports whether the process has ended.
func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop asks the process to end and returns when it has. One that does not is
// killed, which harms nobody: its exit code does not matter, nor its data.
func (p *process) stop() error {
	if err := p.send(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopGrace):
		fmt.Fprintf(os.Stderr, "controlplane: %s did not stop within %s and is killed\n", p.name, stopGrace)
		return p.kill()
	}
}

// kill ends the process at once and returns when it has ended.
func (p *process) kill() error {
	if err := p.send(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// send signals the process, if it has not ended.
func (p *process) send(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", signal, p.name, err)
	}
	return nil
}

// died returns the error of a process that ended by itself.
func (p *process) died() error {
	<-p.ended
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return p.withLog(fmt.Errorf("%s ended by itself: %s", p.name, how))
}

// withLog adds the last lines of the log to err.
func (p *process) withLog(err error) error {
	data, readErr := os.ReadFile(p.log)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	var tail []string
	for line := range bytes.Lines(data) {
		tail = append(tail, string(bytes.TrimRight(line, "\n")))
		if len(tail) > tailLines {
			tail = tail[1:]
		}
	}
	if len(tail) == 0 {
		tail = []string{"(empty)"}
	}
	return failure(fmt.Errorf("%w\n  end of its log:\n%s", err, indent(tail)), "to keep the whole logs, start it with --dir DIR")
}

// ownGroup makes a child the leader of a new process group.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// signalGroup signals every process of a group. A group that is gone is no error.
func signalGroup(leader int, signal syscall.Signal) error {
	if err := syscall.Kill(-leader, signal); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
