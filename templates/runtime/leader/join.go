package leader

import (
	"context"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

type electionKey struct{}

// joinedKey asks a context for the innermost term of an election that it has
// joined; of any election if that is nil.
type joinedKey struct{ election *Election }

// joined is the context of a use of a term. It carries the term's fence and is
// found in contexts derived from it, also in those that do not end with it.
type joined struct {
	budget.Fenced
	term *Term
	use  *use
}

// Value implements context.Context.
func (j *joined) Value(key any) any {
	switch key {
	case joinedKey{}, joinedKey{j.term.election}:
		return j
	}
	return j.Fenced.Value(key)
}

// joinedOf returns the use of a term of an election, or of any if that is nil, in
// which the work under ctx was begun, nil if in none.
func joinedOf(ctx context.Context, election *Election) *joined {
	j, _ := ctx.Value(joinedKey{election}).(*joined)
	return j
}

// TermOf returns the term that the work under ctx has joined: the innermost one,
// where it has joined more than one. It does not matter whether the term is over,
// nor whether ctx still ends with it: a context that was detached by
// context.WithoutCancel is of its term all the same. A *Term can be compared, and
// tells its term apart from every other.
func TermOf(ctx context.Context) (*Term, bool) {
	j := joinedOf(ctx, nil)
	if j == nil {
		return nil, false
	}
	return j.term, true
}

// Into returns a copy of ctx in which [Join] finds the election.
func (e *Election) Into(ctx context.Context) context.Context {
	if e == nil {
		return ctx
	}
	return context.WithValue(ctx, electionKey{}, e)
}

// Join is for side effects outside the Kubernetes API, such as a payment or a
// mail, which no fence can hold back. Call it right before:
//
//	ctx, leave, err := leader.Join(ctx)
//	if err != nil {
//		return err
//	}
//	defer leave()
//
// It fails, with cause.LeadershipLost, if this process does not lead at this
// very moment, or no longer in the term in which the work under ctx was begun.
// The returned context also ends when the term does, and the lease is not
// released before leave is called. In a process without election it does
// nothing.
func Join(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if t, ok := TermOf(ctx); ok {
		return t.Join(ctx)
	}
	e, _ := ctx.Value(electionKey{}).(*Election)
	return e.Join(ctx)
}
