package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// killing is what came of three replicas that were killed one after the other.
type killing struct {
	Seconds float64 `json:"seconds"`
	Kills   int     `json:"kills"`
	Terms   int     `json:"terms"`
	Commits int     `json:"commits"`
	Changes int     `json:"changes"` // of widgets' specs
	// TwoWriters counts writers that wrote again after another one had.
	TwoWriters int `json:"twoWriters"`
	// Unreconciled counts widgets that in the end were not as last asked for.
	Unreconciled int `json:"unreconciled"`
}

func (l *lab) kill(ctx context.Context, length time.Duration) error {
	p, done, err := l.setUp(ctx, "ours", 3, false)
	if err != nil {
		return err
	}
	defer done()
	k := &killing{Seconds: length.Seconds()}
	l.report.Killing = k
	begin := time.Now()
	for time.Since(begin) < length {
		leader, err := p.log.leader(ctx, time.Time{})
		if err != nil {
			return err
		}
		for range 3 {
			if err := l.change(ctx, p.namespace); err != nil {
				return err
			}
			k.Changes++
		}
		victim, err := p.find(leader.identity())
		if k.Kills%3 == 2 { // an observer may die too
			victim, err = p.other(leader.identity()), nil
		}
		if err != nil {
			return err
		}
		gone := victim.ended()
		if err := victim.signal(syscall.SIGKILL); err != nil {
			return err
		}
		k.Kills++
		<-gone
		if err := l.change(ctx, p.namespace); err != nil { // while nobody leads
			return err
		}
		k.Changes++
		time.Sleep(time.Duration(rand.Int64N(int64(leaseDuration))))
	}
	if _, err := p.log.leader(ctx, time.Time{}); err != nil {
		return err
	}
	deadline := time.Now().Add(10 * leaseDuration)
	for {
		if k.Unreconciled, err = l.unreconciled(ctx, p.namespace); err != nil {
			return err
		}
		if k.Unreconciled == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(retryPeriod)
	}
	k.TwoWriters = p.log.returns()
	k.Commits = p.log.total()
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	k.Terms = len(p.log.terms)
	return nil
}

// change asks for something else in one widget.
func (l *lab) change(ctx context.Context, namespace string) error {
	w := &runtimetest.Widget{}
	w.Namespace, w.Name = namespace, fmt.Sprint("w", rand.N(widgets))
	patch := fmt.Appendf(nil, `{"spec":{"size":%d}}`, rand.Int64())
	return l.cluster.Patch(ctx, w, client.RawPatch("application/merge-patch+json", patch))
}

// unreconciled counts widgets whose status is not about what they ask for.
func (l *lab) unreconciled(ctx context.Context, namespace string) (int, error) {
	list := &runtimetest.WidgetList{}
	if err := l.cluster.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return 0, err
	}
	count := 0
	for _, w := range list.Items {
		if w.Status.ObservedGeneration != w.Generation {
			count++
		}
	}
	return count, nil
}
