package tenant

import (
	"context"
	"fmt"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

// Of returns the namespace of the tenant that work under ctx is done for. It is
// false outside of a sandbox.
func Of(ctx context.Context) (namespace string, ok bool) {
	e, ok := ctx.Value(entryKey{}).(*entry)
	if !ok {
		return "", false
	}
	return e.box.tenant.name, true
}

// Call is for calls to the outside, such as those of a paid API: call it right
// before each. It fails where the tenant has made more of them than it may, with an
// error that budget.Operation.Do waits for, if that takes less than its time; and
// with the cause if the work under ctx has been ended. Outside of a sandbox it does
// nothing.
func Call(ctx context.Context) error {
	e, ok := ctx.Value(entryKey{}).(*entry)
	if !ok {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t := e.box.tenant
	e.box.kind.set.mu.Lock()
	defer e.box.kind.set.mu.Unlock()
	if delay := wait(t.calls); delay > 0 {
		return budget.TransientAfter(fmt.Errorf("tenant %s may make %g calls per second", t.name, t.quota.Calls), delay)
	}
	return nil
}
