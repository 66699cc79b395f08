package lag

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// upstream is an API server's side of a watch.
type upstream struct {
	*io.PipeWriter

	mu   sync.Mutex
	late lateness
	*stream
}

// watch begins a watch with a context of its client.
func watch(ctx context.Context, late lateness) *upstream {
	body, w := io.Pipe()
	u := &upstream{PipeWriter: w, late: late}
	u.stream = newStream(ctx, body, func() lateness {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.late
	})
	return u
}

func (u *upstream) send(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(u.PipeWriter, line+"\n"); err != nil {
			t.Error(err)
		}
	}
}

// set changes how late the watch is.
func (u *upstream) set(late lateness) {
	u.mu.Lock()
	u.late = late
	u.mu.Unlock()
	u.look()
}

// arrival is a line that the client got, and when.
type arrival struct {
	line string
	at   time.Duration
}

// client reads lines until the stream ends, and returns how it ended.
func client(s *stream) (lines <-chan arrival, ended <-chan error) {
	begun, got, end := time.Now(), make(chan arrival, 100), make(chan error, 1)
	go func() {
		scanner := bufio.NewScanner(s)
		for scanner.Scan() {
			got <- arrival{scanner.Text(), time.Since(begun)}
		}
		_ = s.Close()
		close(got)
		end <- scanner.Err()
	}()
	return got, end
}

// so returns what has arrived by now.
func so(lines <-chan arrival) (far []arrival) {
	synctest.Wait()
	for len(lines) > 0 {
		far = append(far, <-lines)
	}
	return far
}

func expect(t *testing.T, what string, got []arrival, want ...arrival) {
	t.Helper()
	same := len(got) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = got[i] == want[i]
	}
	if !same {
		t.Errorf("%s: arrived %v, want %v", what, got, want)
	}
}

const ms = time.Millisecond

func TestEachPieceIsLateByTheDelayAndInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := watch(t.Context(), lateness{delay: 50 * ms})
		lines, ended := client(u.stream)
		u.send(t, "ADDED a", "ADDED b")
		time.Sleep(30 * ms)
		u.send(t, "BOOKMARK")
		_ = u.CloseWithError(nil)
		time.Sleep(time.Second)
		expect(t, "a delayed watch", so(lines), arrival{"ADDED a", 50 * ms}, arrival{"ADDED b", 50 * ms}, arrival{"BOOKMARK", 80 * ms})
		if err := <-ended; err != nil {
			t.Errorf("the watch ended with %v, want its own end", err)
		}
	})
}

func TestANewDelayHoldsForWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := watch(t.Context(), lateness{delay: time.Hour})
		lines, _ := client(u.stream)
		u.send(t, "one", "two")
		time.Sleep(10 * ms)
		u.set(lateness{delay: 20 * ms})
		time.Sleep(20 * ms)
		expect(t, "a shorter delay", so(lines), arrival{"one", 20 * ms}, arrival{"two", 20 * ms})
		_ = u.CloseWithError(nil)
	})
}

func TestNothingPassesWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := watch(t.Context(), lateness{held: true})
		lines, _ := client(u.stream)
		long := strings.Repeat("x", 60<<10) // more than a piece
		u.send(t, "one", long, "BOOKMARK")
		time.Sleep(time.Hour)
		expect(t, "held", so(lines))
		u.set(lateness{})
		expect(t, "released", so(lines), arrival{"one", time.Hour}, arrival{long, time.Hour}, arrival{"BOOKMARK", time.Hour})
		_ = u.CloseWithError(nil)
	})
}

func TestACutWatchEndsInGoodOrderWithoutWhatItHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := watch(t.Context(), lateness{})
		lines, ended := client(u.stream)
		u.send(t, "seen")
		expect(t, "before", so(lines), arrival{"seen", 0})
		u.set(lateness{held: true})
		u.send(t, "lost")
		u.end()
		if err := <-ended; err != nil {
			t.Errorf("the watch ended with %v, want nil", err)
		}
		expect(t, "after", so(lines))
		if _, err := io.WriteString(u.PipeWriter, "more"); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the API server's watch goes on: %v", err)
		}
	})
}

func TestAFailureComesAfterWhatCameBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("connection reset")
		u := watch(t.Context(), lateness{delay: 50 * ms})
		lines, ended := client(u.stream)
		u.send(t, "one")
		_ = u.CloseWithError(broken)
		if err := <-ended; !errors.Is(err, broken) {
			t.Errorf("the watch ended with %v, want %v", err, broken)
		}
		expect(t, "before the failure", so(lines), arrival{"one", 50 * ms})
	})
}

func TestAClientThatGoesAwayIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		u := watch(ctx, lateness{held: true})
		_, ended := client(u.stream)
		u.send(t, "one")
		synctest.Wait()
		leave()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended with %v, want %v", err, context.Canceled)
		}
	})
}

// fits is a body that is read by nothing, by a byte, and then not at all.
type fits struct {
	reads int
	end   chan struct{}
}

func (f *fits) Read(to []byte) (int, error) {
	switch f.reads++; f.reads {
	case 1:
		return 0, nil
	case 2:
		return copy(to, "x"), nil
	}
	<-f.end
	return 0, io.EOF
}

func (f *fits) Close() error { close(f.end); return nil }

// An io.Reader may return nothing.
func TestAReadOfNothingHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t.Context(), &fits{end: make(chan struct{})}, func() lateness { return lateness{} })
		defer func() { _ = s.Close() }()
		synctest.Wait()
		<-s.wake // nothing comes after this
		if n, _, err := s.take(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("%d bytes, error %v", n, err)
		}
	})
}
