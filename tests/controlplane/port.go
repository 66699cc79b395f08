package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// port is a free port of the loopback interface that nobody else can get.
type port struct {
	number int
	socket int
}

// reservePort binds a port without listening on it. A server that asks to
// share ports can then listen there, while the kernel hands the port to nobody
// else, as it would between finding a free port and its use. The reservation
// lasts until release.
func reservePort() (*port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	p := &port{socket: socket}
	if p.number, err = bindLoopback(socket); err != nil {
		p.release()
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	return p, nil
}

func bindLoopback(socket int) (int, error) {
	unix.CloseOnExec(socket)
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	address, err := unix.Getsockname(socket)
	if err != nil {
		return 0, err
	}
	return address.(*unix.SockaddrInet4).Port, nil
}

// release gives the port back.
func (p *port) release() {
	// Closing a socket that carries no data cannot fail in a way that matters.
	_ = unix.Close(p.socket)
}
