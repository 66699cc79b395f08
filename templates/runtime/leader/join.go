package leader

import "context"

// joiner ties work to a term: the one it has been begun in, or whichever is in
// force.
type joiner interface {
	Join(ctx context.Context) (context.Context, context.CancelFunc, error)
}

type joinerKey struct{}

func into(ctx context.Context, j joiner) context.Context {
	return context.WithValue(ctx, joinerKey{}, j)
}

// Into returns a copy of ctx in which [Join] finds the election.
func (e *Election) Into(ctx context.Context) context.Context {
	if e == nil {
		return ctx
	}
	return into(ctx, e)
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
	j, ok := ctx.Value(joinerKey{}).(joiner)
	if !ok {
		return ctx, func() {}, nil
	}
	return j.Join(ctx)
}

// TermOf returns the term that the work under ctx has joined.
func TermOf(ctx context.Context) (*Term, bool) {
	t, ok := ctx.Value(joinerKey{}).(*Term)
	return t, ok
}
