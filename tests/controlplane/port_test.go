package main

import (
	"fmt"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReservedPort(t *testing.T) {
	t.Parallel()
	p, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", p.number)
	if listener, err := net.Listen("tcp", address); err == nil {
		t.Error("somebody else can listen on it")
		_ = listener.Close()
	}
	sharing := net.ListenConfig{Control: func(_, _ string, connection syscall.RawConn) error {
		var failed error
		err := connection.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if err != nil {
			return err
		}
		return failed
	}}
	listener, err := sharing.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatalf("the server cannot listen on it: %v", err)
	}
	defer listener.Close()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("no connection reaches the server: %v", err)
	}
	_ = connection.Close()
	p.release()
	if _, err := net.Dial("tcp", address); err != nil {
		t.Errorf("the server lost its port: %v", err)
	}
}
