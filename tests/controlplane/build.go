package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// buildCommand builds the components named in args into the cache.
func buildCommand(args []string) error {
	flags := newFlagSet("build", "build [COMPONENT ...]")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	needed, err := componentsNamed(flags.Args())
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals...)
	defer stop()
	_, err = ensureAssets(ctx, needed, os.Stderr)
	return err
}

// ensureAssets returns the folder with the needed components after building
// those that are missing. Progress goes to out. Any number of processes may
// call it at once: one builds, the others wait for it.
func ensureAssets(ctx context.Context, needed []component, out io.Writer) (assets, error) {
	found, err := findAssets(needed)
	if err != nil || len(found.missing) == 0 {
		return found, err
	}
	if err := os.MkdirAll(found.dir, 0o755); err != nil {
		return assets{}, failure(err, "set "+cacheEnv+" to a folder that can be written")
	}
	lock, err := waitLock(ctx, filepath.Join(found.dir, ".lock"), func() {
		fmt.Fprintln(out, "waiting for another build of the control plane")
	})
	if err != nil {
		return assets{}, err
	}
	defer lock.Close()
	// The one we waited for may have built it all.
	if found, err = cachedAssets(needed); err != nil || len(found.missing) == 0 {
		return found, err
	}
	if err := buildMissing(ctx, found, out); err != nil {
		return assets{}, err
	}
	return cachedAssets(needed)
}

// buildMissing builds one component after the other, each in place as soon as
// it is done, so that an interrupted build loses little. The caller holds the
// lock of the folder.
func buildMissing(ctx context.Context, target assets, out io.Writer) error {
	pins, err := readPins()
	if err != nil {
		return err
	}
	work, err := newBuildDir(target.dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, c := range target.missing {
		version := pins[c.module]
		progress := newProgress(out, c.name+" "+version)
		if err := goCommand(ctx, work, progress, "list", "-deps", c.pkg); err != nil {
			return err
		}
		binary := filepath.Join(work, c.name)
		if err := goCommand(ctx, work, progress, "build", "-v", "-ldflags", pins.linkerFlags(), "-o", binary, c.pkg); err != nil {
			return err
		}
		if !pins.holds(binary, c) {
			return fmt.Errorf("go built something else than %s %s", c.name, version)
		}
		if err := os.Rename(binary, target.path(c)); err != nil {
			return err
		}
		progress.done()
	}
	return nil
}

// newBuildDir returns a new folder below parent that holds the embedded module,
// and removes those that killed builds left.
func newBuildDir(parent string) (string, error) {
	const pattern = ".build-*"
	old, err := filepath.Glob(filepath.Join(parent, pattern))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(parent, pattern)
	if err != nil {
		return "", err
	}
	return dir, errors.Join(
		os.WriteFile(filepath.Join(dir, "go.mod"), goMod, 0o600),
		os.WriteFile(filepath.Join(dir, "go.sum"), goSum, 0o600),
	)
}

// goCommand runs the go command in a folder. What list prints counts as the
// packages to come, what it and build log as progress.
func goCommand(ctx context.Context, dir string, progress *progress, verb string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{verb, "-mod=readonly"}, args...)...)
	cmd.Dir = dir
	// What is built runs here and now, whatever the user builds otherwise.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	cmd.Stdout = lineWriter(progress.planned)
	cmd.Stderr = lineWriter(progress.logged)
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return signalGroup(cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := startTied(cmd)
	if err == nil {
		defer progress.report(10 * time.Second)()
		err = cmd.Wait()
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return failure(errors.New("go is not on the PATH, and the control plane is built with it"),
			"install Go (https://go.dev/dl), or set "+assetsEnv+" to a folder with the binaries")
	}
	return fmt.Errorf("go %s for %s: %w\n%s", verb, progress.subject, err, indent(progress.messages))
}

// indent returns the lines as a block for an error message.
func indent(lines []string) string {
	return "    " + strings.Join(lines, "\n    ")
}
