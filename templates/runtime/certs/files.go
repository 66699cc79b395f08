package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The authority's files: its certificate, under the name that cert-manager gives
// it, and its key.
const (
	CAFile = "ca.crt"
	caKey  = "ca.key"
)

// read returns the contents of two files that belong together, nil if either is
// absent.
func read(folder, first, second string) (a, b []byte, err error) {
	if a, err = os.ReadFile(filepath.Join(folder, first)); err == nil {
		b, err = os.ReadFile(filepath.Join(folder, second))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	return a, b, err
}

// write replaces a file as a whole: whoever reads it sees the old one or the new
// one. Only its owner can.
func write(folder, name string, content []byte) error {
	next, err := os.CreateTemp(folder, name+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(content)
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), filepath.Join(folder, name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(next.Name())))
	}
	return nil
}
