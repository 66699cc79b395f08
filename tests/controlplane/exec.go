package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that exec passes on to its command.
var forwarded = append([]os.Signal{syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}, stopSignals...)

// execCommand runs a command with a control plane of its own and returns the
// exit code of the command.
func execCommand(args []string) (code int, err error) {
	var opts options
	flags := newFlagSet("exec", "exec [flags] -- CMD [ARG ...]")
	opts.bind(flags)
	if err := parseFlags(flags, args); err != nil {
		return 0, err
	}
	argv := flags.Args()
	if len(argv) == 0 {
		return 0, misuse(errors.New("exec has no command"), "give it after --, as in: controlplane exec -- go test ./...")
	}
	if err := opts.complete(); err != nil {
		return 0, err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, failure(err, "check the command after --")
	}
	// A signal that comes too late to interrupt the start goes to the command.
	signals := make(chan os.Signal, len(forwarded))
	signal.Notify(signals, forwarded...)
	ctx, started := signal.NotifyContext(context.Background(), stopSignals...)
	defer started()
	plane, err := launch(ctx, opts)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, plane.stop()) }()
	cmd := &exec.Cmd{
		Path:   path,
		Args:   argv,
		Env:    environment(os.Environ(), plane.info),
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
	}
	return attend(cmd, signals, plane.ended)
}

// environment returns environ with the variables that lead Kubernetes clients
// and envtest to the control plane.
func environment(environ []string, to info) []string {
	set := map[string]string{
		"KUBECONFIG":            to.Kubeconfig,
		"USE_EXISTING_CLUSTER":  "true",
		"CTXSCAFFOLD_AUDIT_LOG": to.AuditLog,
		assetsEnv:               to.Assets,
	}
	var result []string
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if _, replaced := set[name]; !replaced {
			result = append(result, variable)
		}
	}
	for name, value := range set {
		if value != "" {
			result = append(result, name+"="+value)
		}
	}
	return result
}

// attend runs cmd, passes signals on to it, and returns its exit code, which is
// 128 and the signal's number if a signal ended it. If a component of the
// control plane ends, the command is killed.
func attend(cmd *exec.Cmd, signals <-chan os.Signal, ended <-chan *process) (int, error) {
	// At a terminal the command stays in the group that Ctrl-C and Ctrl-Z go
	// to. Elsewhere it leads a group of its own, so that what it starts gets the
	// signals too and goes when it goes.
	interactive := inForeground()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !interactive}
	if err := startTied(cmd); err != nil {
		return 0, err
	}
	send := func(s syscall.Signal) error { return signalGroup(cmd.Process.Pid, s) }
	if interactive {
		send = func(s syscall.Signal) error { return cmd.Process.Signal(s) }
	}
	finished := make(chan error, 1)
	go func() { finished <- cmd.Wait() }()
	var broken error
	for {
		select {
		case s := <-signals:
			if interactive && (s == syscall.SIGINT || s == syscall.SIGQUIT) {
				continue // the terminal has sent it to the command already
			}
			if err := send(s.(syscall.Signal)); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return 0, fmt.Errorf("pass on %s: %w", s, err)
			}
		case p := <-ended:
			broken = errors.Join(broken, p.died(), send(syscall.SIGKILL))
		case err := <-finished:
			if !interactive {
				broken = errors.Join(broken, send(syscall.SIGKILL))
			}
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, errors.Join(broken, err)
			}
			return exitCode(cmd.ProcessState), broken
		}
	}
}

// inForeground reports whether the program is in the group of processes that
// the terminal at its standard input talks to.
func inForeground() bool {
	group, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
