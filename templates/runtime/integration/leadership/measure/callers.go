package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// answers counts answers of all replicas' HTTP APIs by what they were.
type answers struct {
	Reads  map[string]int `json:"reads"`
	Writes map[string]int `json:"writes"`
}

// audience is what others notice of one pair while its lease is stolen.
type audience struct {
	answers
	Steals  int     `json:"steals"`
	Seconds float64 `json:"seconds"`
	// Beats counts heartbeats of replicas that observe.
	Beats int `json:"beats"`
}

// attend lets the lease of a pair be stolen count times while others call.
func (l *lab) attend(ctx context.Context, count int, mode string) (*audience, error) {
	p, done, err := l.setUp(ctx, mode, 2, false)
	if err != nil {
		return nil, err
	}
	defer done()
	a := &audience{Steals: count}
	begin, before := time.Now(), p.log.beaten()
	hangUp := p.call(ctx)
	for n := range count {
		if _, err := steal.run(ctx, l, p); err != nil {
			return nil, fmt.Errorf("%s, steal %d under calls: %w", mode, n+1, err)
		}
	}
	a.answers = hangUp()
	a.Seconds, a.Beats = time.Since(begin).Seconds(), p.log.beaten()-before
	return a, nil
}

// call has each replica asked to read and to write, again and again, until ctx
// ends or the returned function is called, which tells the answers.
func (p *pair) call(ctx context.Context) (hangUp func() answers) {
	calling, cancel := context.WithCancel(ctx)
	found := answers{Reads: map[string]int{}, Writes: map[string]int{}}
	var callers sync.WaitGroup
	var mu sync.Mutex
	for _, r := range p.replicas {
		for method, counts := range map[string]map[string]int{http.MethodGet: found.Reads, http.MethodPost: found.Writes} {
			callers.Go(func() {
				for calling.Err() == nil {
					answer := call(calling, method, r.url("/widgets/w0"))
					if calling.Err() == nil {
						mu.Lock()
						counts[answer]++
						mu.Unlock()
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
	return func() answers {
		cancel()
		callers.Wait()
		http.DefaultClient.CloseIdleConnections()
		return found
	}
}

// call makes a request and names the answer: its status, "and warning" or "and
// retry" if it has the header, or what went wrong.
func call(ctx context.Context, method, url string) string {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection broken"
	case err != nil:
		return err.Error()
	}
	defer response.Body.Close()
	answer := fmt.Sprint(response.StatusCode)
	if response.Header.Get("Warning") != "" {
		answer += " and warning"
	}
	if response.Header.Get("Retry-After") != "" {
		answer += " and retry"
	}
	if response.StatusCode == http.StatusInternalServerError {
		text, _ := io.ReadAll(response.Body) // as much as there is
		answer += ": " + string(text)
	}
	return answer
}
