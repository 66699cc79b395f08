package fence

import (
	"context"
	"io"
)

// stream is an upgraded connection. It is a use of the permission until it is
// closed, which is at the latest when its context ends.
type stream struct {
	io.ReadWriteCloser
	permission Permission
	unwatch    func() bool
	done       context.CancelFunc
}

// streaming returns the body of the answer to an upgrade under ctx, which has
// joined the permission. Where the connection is hidden below, the use lasts for
// as long as ctx.
func streaming(ctx context.Context, below io.ReadCloser, permission Permission, done context.CancelFunc) io.ReadCloser {
	both, ok := below.(io.ReadWriteCloser)
	if !ok {
		context.AfterFunc(ctx, done)
		return below
	}
	s := &stream{ReadWriteCloser: both, permission: permission, done: done}
	s.unwatch = context.AfterFunc(ctx, func() { _ = both.Close(); done() })
	return s
}

// Write asks for the permission at the last moment there is.
func (s *stream) Write(b []byte) (int, error) {
	if err := s.permission.Check(); err != nil {
		_ = s.Close()
		return 0, err
	}
	return s.ReadWriteCloser.Write(b)
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.unwatch()
	err := s.ReadWriteCloser.Close()
	s.done()
	return err
}
