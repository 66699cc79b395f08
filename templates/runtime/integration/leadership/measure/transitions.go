package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// transitions is what many terms, each begun by a deletion of the lease, are to
// callers and to the process.
type transitions struct {
	answers
	Terms int `json:"terms"`
	// Restarts counts processes that had to be replaced meanwhile.
	Restarts int `json:"restarts"`
	// Before and After are counts of each replica.
	Before []counts `json:"before"`
	After  []counts `json:"after"`
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
	t := &transitions{Terms: terms}
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
	hangUp := p.call(ctx)
	for n := range terms {
		if err := turn(); err != nil {
			return fmt.Errorf("transition %d: %w", n+1, err)
		}
	}
	t.answers = hangUp()
	t.Restarts = int(p.numbers.Load()) - len(p.replicas)
	t.After, err = p.settled(ctx)
	return err
}

// settled returns the counts of each replica once they stay the same.
func (p *pair) settled(ctx context.Context) ([]counts, error) {
	var last []counts
	for range 50 {
		now := make([]counts, len(p.replicas))
		for i, r := range p.replicas {
			if err := r.get(ctx, "/counts", &now[i]); err != nil {
				return nil, err
			}
		}
		if slices.Equal(now, last) {
			break
		}
		last = now
		time.Sleep(200 * time.Millisecond)
	}
	return last, nil
}
