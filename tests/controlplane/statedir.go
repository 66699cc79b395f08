package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	statePrefix = "ctxscaffold-controlplane-"
	stateLock   = "lock"
)

// stateDir is the folder with everything one control plane writes.
type stateDir struct {
	path string
	lock *os.File // nil if the folder is the user's, who keeps it
}

// openStateDir takes over the given folder, which must be empty or absent, or
// makes a temporary one if none is given.
func openStateDir(given string) (*stateDir, error) {
	if given == "" {
		return temporaryStateDir()
	}
	if err := os.MkdirAll(given, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(given)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, failure(fmt.Errorf("%s is not empty", given), "name another folder for --dir, or empty it")
	}
	return &stateDir{path: given}, nil
}

// temporaryStateDir makes a folder and removes those whose owners were killed:
// nobody holds their lock.
func temporaryStateDir() (*stateDir, error) {
	if err := removeAbandoned(); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp("", statePrefix+"*")
	if err != nil {
		return nil, err
	}
	// Locked before it has its name: removeAbandoned of another process must
	// not find it in between.
	unnamed := filepath.Join(path, stateLock+".new")
	lock, err := tryLock(unnamed)
	if err == nil {
		err = os.Rename(unnamed, filepath.Join(path, stateLock))
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return &stateDir{path: path, lock: lock}, nil
}

func removeAbandoned() error {
	locks, err := filepath.Glob(filepath.Join(os.TempDir(), statePrefix+"*", stateLock))
	if err != nil {
		return err
	}
	for _, path := range locks {
		// What cannot be locked or removed is in use, or another user's.
		if lock, err := tryLock(path); err == nil && lock != nil {
			_ = os.RemoveAll(filepath.Dir(path))
			_ = lock.Close()
		}
	}
	return nil
}

// file returns the path of a file in the folder.
func (s *stateDir) file(name string) string { return filepath.Join(s.path, name) }

// write makes a file that only the user can read.
func (s *stateDir) write(name string, content []byte) error {
	return os.WriteFile(s.file(name), content, 0o600)
}

// close removes the folder if it is a temporary one.
func (s *stateDir) close() error {
	if s.lock == nil {
		return nil
	}
	return errors.Join(os.RemoveAll(s.path), s.lock.Close())
}
