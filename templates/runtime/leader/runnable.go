package leader

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// PerTerm returns a runnable that runs r once in each term, with a context that
// ends with the term. r must bear being started again, one run at a time. If r
// fails while its term goes on, so does the runnable.
func (e *Election) PerTerm(r manager.Runnable) manager.Runnable {
	if e == nil {
		return r
	}
	return perTerm{r, e}
}

type perTerm struct {
	manager.Runnable
	election *Election
}

// NeedLeaderElection tells controller-runtime to start it at once: it waits for
// terms by itself.
func (perTerm) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable. It ends when ctx does.
func (p perTerm) Start(ctx context.Context) error {
	var t *Term
	for {
		var ok bool
		if t, ok = p.election.next(ctx, t); !ok {
			return nil
		}
		if err := p.run(ctx, t); err != nil {
			return err
		}
	}
}

// run runs the runnable in a term, if that is not over already. What it says
// after the term or ctx ended is not a failure. The term is asked, and not only
// the context: a write is refused as soon as the term is over, and its context
// is told a moment later.
func (p perTerm) run(ctx context.Context, t *Term) error {
	if joined, leave, err := t.Join(ctx); err == nil {
		defer leave()
		if err := p.Runnable.Start(joined); t.Check() == nil && joined.Err() == nil {
			return err
		}
	}
	return nil
}
