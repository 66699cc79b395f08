package main

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// startTied starts cmd so that the kernel kills it when this program ends, be
// it by SIGKILL. cmd.SysProcAttr must be set.
//
// The kernel means the thread that started the child, not the process, and Go
// ends threads at will. Hence every child is started by one thread, which a
// goroutine that never returns keeps for itself.
func startTied(cmd *exec.Cmd) error {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	result := make(chan error)
	starter() <- func() { result <- cmd.Start() }
	return <-result
}

var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range work {
			start()
		}
	}()
	return work
})
