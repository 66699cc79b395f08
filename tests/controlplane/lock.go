package main

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// tryLock locks the file, creating it if need be, until the returned file is
// closed or the process ends, however it ends. It returns nil if another
// process holds the lock.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, nil
	}
	if closeErr := file.Close(); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, &os.PathError{Op: "lock", Path: path, Err: err}
}

// waitLock is tryLock that waits for its turn. It calls waiting once if it has
// to wait.
func waitLock(ctx context.Context, path string, waiting func()) (*os.File, error) {
	// Polled, because a thread blocked in flock cannot be interrupted.
	for first := true; ; first = false {
		file, err := tryLock(path)
		if file != nil || err != nil {
			return file, err
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
