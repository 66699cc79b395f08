package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// auditLevels are the levels of an audit policy that log anything.
var auditLevels = []string{"Metadata", "Request", "RequestResponse"}

// bind adds the flags of run and exec.
func (o *options) bind(flags *flag.FlagSet) {
	flags.StringVar(&o.auditLog, "audit", "", "write the audit log to `FILE`, one JSON object a line")
	flags.StringVar(&o.auditLevel, "audit-level", auditLevels[0], "log requests at this `LEVEL`: "+strings.Join(auditLevels, ", "))
	flags.BoolVar(&o.controllerManager, "controller-manager", false, "run the namespace, quota, garbage-collection and role-aggregation controllers")
	flags.StringVar(&o.dir, "dir", "", "keep state and logs in `DIR`, which must be empty (default: a temporary folder, removed at the end)")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "write the administrator's kubeconfig to `FILE` (default: in the state folder)")
	flags.DurationVar(&o.startTimeout, "start-timeout", 2*time.Minute, "give up if the API server is not ready after this `TIME`")
}

// complete checks the flags and makes paths absolute: the components run in
// another folder.
func (o *options) complete() error {
	if !slices.Contains(auditLevels, o.auditLevel) {
		return misuse(fmt.Errorf("there is no audit level %q", o.auditLevel), "use "+strings.Join(auditLevels, ", "))
	}
	for _, path := range []*string{&o.auditLog, &o.dir, &o.kubeconfig} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	return nil
}

// launch builds what is missing and starts a control plane.
func launch(ctx context.Context, opts options) (*controlPlane, error) {
	binaries, err := ensureAssets(ctx, opts.needed(), os.Stderr)
	if err != nil {
		return nil, err
	}
	return start(ctx, binaries, opts)
}

// runCommand runs a control plane, prints its info, and stops it when the
// standard input closes or a signal asks for it.
func runCommand(args []string) (err error) {
	var opts options
	flags := newFlagSet("run", "run [flags]")
	opts.bind(flags)
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return misuse(fmt.Errorf("run takes no argument %q", flags.Arg(0)), "use exec to run a command")
	}
	if err := opts.complete(); err != nil {
		return err
	}
	ctx, restore := signal.NotifyContext(context.Background(), stopSignals...)
	defer restore()
	// A second Ctrl-C ends the program at once, and Linux its children with it.
	context.AfterFunc(ctx, restore)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		waitInputClosed()
		cancel(errors.New("standard input was closed before the control plane was ready"))
	}()
	plane, err := launch(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plane.stop()) }()
	if err := json.NewEncoder(os.Stdout).Encode(plane.info); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case p := <-plane.ended:
		return p.died()
	}
}

// waitInputClosed returns when whoever started the program has closed its
// standard input, be it by dying. It never returns at a terminal, which stays
// open and would stop a program in the background that reads from it.
func waitInputClosed() {
	if _, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP); err == nil {
		select {}
	}
	// An input that cannot be read counts as closed.
	_, _ = io.Copy(io.Discard, os.Stdin)
}
