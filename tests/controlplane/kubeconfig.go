package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// kubeconfigMark is the first line of each kubeconfig written here. A file
// without it belongs to somebody else.
const kubeconfigMark = "# Written by the ctxscaffold control plane and valid while it runs.\n"

// kubeconfig returns a file that contains everything a client needs.
func kubeconfig(url string, ca []byte, client keyPair) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, kubeconfigMark+`apiVersion: v1
kind: Config
current-context: ctxscaffold
contexts:
- name: ctxscaffold
  context: {cluster: ctxscaffold, user: ctxscaffold}
clusters:
- name: ctxscaffold
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: ctxscaffold
  user:
    client-certificate-data: %s
    client-key-data: %s
`, url, encode(ca), encode(client.cert), encode(client.key))
}

// checkKubeconfig refuses a path that cannot be written, or holds a file of
// another program.
func checkKubeconfig(path string) error {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return failure(err, "make the folder of the kubeconfig first")
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(data, []byte(kubeconfigMark)) {
		return failure(fmt.Errorf("%s exists and is not of this program", path), "name another file or remove it")
	}
	return nil
}

// writeKubeconfig replaces path at once, so that no reader sees half a file.
func writeKubeconfig(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".kubeconfig-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return os.Rename(temporary.Name(), path)
}
