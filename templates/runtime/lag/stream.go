package lag

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"
)

// lateness is how late a resource's watches are at the moment.
type lateness struct {
	delay time.Duration
	held  bool
}

// stream is the body of the answer to a watch, as its client gets it: late.
type stream struct {
	ctx  context.Context // of the client's request
	body io.ReadCloser   // the API server's
	late func() lateness
	wake chan struct{} // holds a value when there may be something new to do

	mu     sync.Mutex
	pieces []piece
	cut    bool
}

// piece is some bytes of a stream, or what ends it.
type piece struct {
	came time.Time
	data []byte
	err  error
}

// newStream returns what a client with the request context ctx gets of body. It
// reads the body ahead, into memory, for as long as the stream is held.
func newStream(ctx context.Context, body io.ReadCloser, late func() lateness) *stream {
	s := &stream{ctx: ctx, body: body, late: late, wake: make(chan struct{}, 1)}
	go s.readAhead()
	return s
}

func (s *stream) readAhead() {
	buffer := make([]byte, 32<<10)
	for {
		n, err := s.body.Read(buffer)
		if n > 0 || err != nil {
			s.put(piece{came: time.Now(), data: bytes.Clone(buffer[:n]), err: err})
		}
		if err != nil {
			return
		}
	}
}

func (s *stream) put(p piece) {
	s.mu.Lock()
	s.pieces = append(s.pieces, p)
	s.mu.Unlock()
	s.look()
}

// look has the reader look again at what it waits for.
func (s *stream) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// end ends the stream here, in good order, as an API server does with a watch
// whose time is up. What has not been read is lost to this watch.
func (s *stream) end() {
	s.mu.Lock()
	s.cut = true
	s.mu.Unlock()
	s.look()
}

// Read implements io.Reader.
func (s *stream) Read(to []byte) (int, error) {
	for {
		n, wait, err := s.take(to)
		if n > 0 || err != nil {
			return n, err
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-s.wake:
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		}
	}
}

// take returns what is due. If nothing is, it returns how long it takes until
// something may be, 0 if nobody knows.
func (s *stream) take(to []byte) (n int, wait time.Duration, err error) {
	late := s.late()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return 0, 0, io.EOF
	}
	if len(s.pieces) == 0 || late.held {
		return 0, 0, nil
	}
	first := &s.pieces[0]
	if wait := time.Until(first.came.Add(late.delay)); wait > 0 {
		return 0, wait, nil
	}
	n = copy(to, first.data)
	if first.data = first.data[n:]; len(first.data) == 0 {
		err = first.err
		s.pieces = s.pieces[1:]
	}
	return n, 0, err
}

// Close implements io.Closer.
func (s *stream) Close() error { return s.body.Close() }
