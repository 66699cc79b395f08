package main

import (
	"io"
	"net/http"
	"strings"
	"sync"
)

// network stands between the operator and the API server. It can hold back
// everything that has to do with leases, in both directions, while the rest
// passes.
type network struct {
	unwatched bool // for good, and for watches only

	mu      sync.Mutex
	blocked chan struct{} // closed when the leases are reachable again; nil while they are
}

// block cuts the leases off, or restores them.
func (n *network) block(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case on && n.blocked == nil:
		n.blocked = make(chan struct{})
	case !on && n.blocked != nil:
		close(n.blocked)
		n.blocked = nil
	}
}

func (n *network) state() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.blocked
}

func (n *network) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if !strings.Contains(r.URL.Path, "/leases") {
			return next.RoundTrip(r)
		}
		watch := r.URL.Query().Has("watch")
		if n.unwatched && watch {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		if blocked := n.state(); blocked != nil {
			select {
			case <-blocked:
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
		response, err := next.RoundTrip(r)
		if err == nil && watch {
			response.Body = &stream{ReadCloser: response.Body, network: n, done: r.Context().Done()}
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// stream is the answer to a watch. What arrives while the network is blocked
// is delivered afterwards.
type stream struct {
	io.ReadCloser
	network *network
	done    <-chan struct{}
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if blocked := s.network.state(); blocked != nil {
		select {
		case <-blocked:
		case <-s.done:
		}
	}
	return n, err
}
