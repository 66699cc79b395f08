package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// history is what has happened to one pair, from three sides: what the
// operators say, what the API server committed to widgets, and what became of
// the lease.
type history struct {
	mu      sync.Mutex
	changed chan struct{}
	terms   []term
	commits []commit
	leases  []leaseState
	beats   int // of observers' hearts
}

// term is a time of leading as an operator saw it.
type term struct {
	writer     string // identity and number, as signed in widgets
	began      time.Time
	ended      time.Time // zero while it lasts
	reason     string
	wentWithIt bool // the process ended with the term
}

// identity is the name of the process.
func (t term) identity() string { name, _, _ := strings.Cut(t.writer, "/"); return name }

// commit is a write as the API server committed it. Revisions order all writes
// there are.
type commit struct {
	revision int64
	writer   string
	seen     time.Time
}

// leaseState is a version of the lease.
type leaseState struct {
	revision int64
	holder   string // "" if released, "-" if deleted
	seen     time.Time
}

func newHistory() *history { return &history{changed: make(chan struct{})} }

// update changes the history and wakes up those who wait for it.
func (h *history) update(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
	close(h.changed)
	h.changed = make(chan struct{})
}

// note notes what an operator says.
func (h *history) note(identity string, e event) {
	h.update(func() {
		if e.Event == "leading" {
			h.terms = append(h.terms, term{writer: e.Term, began: e.at()})
			return
		}
		for i := range h.terms {
			t := &h.terms[i]
			if t.identity() != identity || (e.Term != "" && t.writer != e.Term) {
				continue
			}
			if t.ended.IsZero() {
				t.ended, t.reason = e.at(), e.Reason
				t.wentWithIt = e.Event != "observing"
			}
		}
	})
}

// await waits until get finds something.
func await[T any](ctx context.Context, h *history, what string, get func() (T, bool)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("waited a minute for "+what))
	defer cancel()
	for {
		h.mu.Lock()
		changed := h.changed
		found, ok := get()
		h.mu.Unlock()
		if ok {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return found, fmt.Errorf("%w; the last terms: %+v", context.Cause(ctx), h.tail())
		}
	}
}

func (h *history) tail() []term {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]term(nil), h.terms[max(0, len(h.terms)-4):]...)
}

// leader waits for a term that began after a moment and has not ended, and
// until something was written in it.
func (h *history) leader(ctx context.Context, after time.Time) (term, error) {
	return await(ctx, h, "a leader that writes", func() (term, bool) {
		for i := len(h.terms) - 1; i >= 0; i-- {
			if t := h.terms[i]; t.began.After(after) && t.ended.IsZero() {
				return t, h.wrote(t.writer, t.began)
			}
		}
		return term{}, false
	})
}

func (h *history) wrote(writer string, after time.Time) bool {
	for i := len(h.commits) - 1; i >= 0; i-- {
		if c := h.commits[i]; c.writer == writer && c.seen.After(after) {
			return true
		}
	}
	return false
}

// lasts reports whether a term has not ended yet.
func (h *history) lasts(t term) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, known := range h.terms {
		if known.writer == t.writer && known.began.Equal(t.began) {
			return known.ended.IsZero()
		}
	}
	return false
}

// over waits for the end of a term.
func (h *history) over(ctx context.Context, of term) (term, error) {
	return await(ctx, h, "the end of a term", func() (term, bool) {
		for _, t := range h.terms {
			if t.writer == of.writer && t.began.Equal(of.began) {
				return t, !t.ended.IsZero()
			}
		}
		return term{}, false
	})
}

// lease waits for a state of the lease newer than a revision.
func (h *history) lease(ctx context.Context, what string, newer int64, want func(leaseState) bool) (leaseState, error) {
	return await(ctx, h, what, func() (leaseState, bool) {
		for _, l := range h.leases {
			if l.revision > newer && want(l) {
				return l, true
			}
		}
		return leaseState{}, false
	})
}

// before returns who held the lease right before a state of it.
func (h *history) before(state leaseState) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	holder := "-"
	for _, l := range h.leases {
		if l.revision == state.revision {
			break
		}
		holder = l.holder
	}
	return holder
}

// revision returns the newest revision of the lease.
func (h *history) revision() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.leases) == 0 {
		return 0
	}
	return h.leases[len(h.leases)-1].revision
}

// total returns how many commits there have been.
func (h *history) total() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.commits)
}

// beaten returns how many heartbeats there have been.
func (h *history) beaten() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.beats
}

// ledAgain reports whether the process of a term, which has a name that no other
// ever has, led again after it.
func (h *history) ledAgain(after term) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.terms {
		if t.identity() == after.identity() && t.began.After(after.began) {
			return true
		}
	}
	return false
}

// by returns the commits of a writer, oldest first.
func (h *history) by(writer string) []commit {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []commit
	for _, c := range h.commits {
		if c.writer == writer {
			found = append(found, c)
		}
	}
	return found
}

// returns counts writers that write again after another one has: two that
// write at a time. A writer is one term of one process.
func (h *history) returns() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	done := map[string]bool{}
	last, count := "", 0
	for _, c := range h.commits { // the watch tells them in the order of their revisions
		if c.writer == last {
			continue
		}
		done[last] = true
		if done[c.writer] {
			count++
		}
		last = c.writer
	}
	return count
}
