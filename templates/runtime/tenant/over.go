package tenant

import (
	"context"
	"errors"
)

// ErrOver says that the pass whose context is used is over.
var ErrOver = errors.New("the pass that the context was given to is over")

// Over returns why nothing more may be done under ctx for its tenant, nil if it may:
// [ErrOver] where the pass is over, the cause where its tenant is gone or suspended.
// Unlike ctx.Err it is not deceived by a context that was kept, detached from its end,
// or made of the values of another. Outside of a sandbox it is nil.
func Over(ctx context.Context) error {
	if e, ok := ctx.Value(entryKey{}).(*entry); ok {
		return e.over()
	}
	return nil
}

func (e *entry) over() error {
	if e.left.Load() {
		return ErrOver
	}
	return context.Cause(e.Fence)
}

// Within returns ctx, ended also with the pass that it is of, from which it may have been
// detached. Outside of a sandbox it is ctx itself.
func Within(ctx context.Context) context.Context {
	e, ok := ctx.Value(entryKey{}).(*entry)
	if !ok {
		return ctx
	}
	ctx, end := context.WithCancelCause(ctx)
	context.AfterFunc(e.Context, func() { end(context.Cause(e.Context)) })
	return ctx
}
