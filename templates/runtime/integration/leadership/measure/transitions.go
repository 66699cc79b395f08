package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// transitions is what many terms, each begun by a deletion of the lease, are to
// callers and to the process.
type transitions struct {
	Terms int `json:"terms"`
	// Reads and Writes count answers of both replicas' HTTP APIs by what they were.
	Reads  map[string]int `json:"reads"`
	Writes map[string]int `json:"writes"`
	// Before and After are counts of the leading process.
	Before counts `json:"before"`
	After  counts `json:"after"`
}

// counts is what is left behind if anything is: see the operator's own.
type counts struct {
	Goroutines int `json:"goroutines"`
	Handlers   int `json:"handlers"`
}

// warmUp is how many terms a process has before it is counted.
const warmUp = 5

func (l *lab) transitions(ctx context.Context, terms int) error {
	p, done, err := l.setUp(ctx, "ours", 2, false)
	if err != nil {
		return err
	}
	defer done()
	t := &transitions{Terms: terms, Reads: map[string]int{}, Writes: map[string]int{}}
	l.report.Transitions = t
	turn := func() error {
		old, err := p.log.leader(ctx, time.Time{})
		if err != nil {
			return err
		}
		_, at, err := deletion.strike(ctx, l, p, old)
		if err != nil {
			return err
		}
		_, err = p.log.leader(ctx, at)
		return err
	}
	for range warmUp {
		if err := turn(); err != nil {
			return err
		}
	}
	if t.Before, err = p.settled(ctx); err != nil {
		return err
	}
	calling, hangUp := context.WithCancel(ctx)
	var callers sync.WaitGroup
	var mu sync.Mutex
	for _, r := range p.replicas {
		for method, answers := range map[string]map[string]int{http.MethodGet: t.Reads, http.MethodPost: t.Writes} {
			callers.Go(func() {
				for calling.Err() == nil {
					answer := call(calling, method, "http://"+r.address+"/widgets/w0")
					if calling.Err() == nil {
						mu.Lock()
						answers[answer]++
						mu.Unlock()
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
	for n := range terms {
		if err := turn(); err != nil {
			hangUp()
			return fmt.Errorf("transition %d: %w", n+1, err)
		}
	}
	hangUp()
	callers.Wait()
	http.DefaultClient.CloseIdleConnections()
	t.After, err = p.settled(ctx)
	return err
}

// settled returns the counts of the leader once they stay the same.
func (p *pair) settled(ctx context.Context) (counts, error) {
	var last counts
	for range 50 {
		leader, err := p.log.leader(ctx, time.Time{})
		if err != nil {
			return counts{}, err
		}
		r, err := p.find(leader.identity())
		if err != nil {
			return counts{}, err
		}
		var now counts
		if err := r.get(ctx, "/counts", &now); err != nil {
			return counts{}, err
		}
		if now == last {
			break
		}
		last = now
		time.Sleep(200 * time.Millisecond)
	}
	return last, nil
}

// call makes a request and names the answer: its status, "and warning" or "and
// retry" if it has the header, or the error.
func call(ctx context.Context, method, url string) string {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
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
