//go:build !linux

package main

import "os/exec"

// startTied starts cmd. Only Linux can tie a child to the life of its parent:
// elsewhere the components stop when this program is told to or its standard
// input closes, but not when it is killed with SIGKILL.
func startTied(cmd *exec.Cmd) error {
	return cmd.Start()
}
