package tenant

import (
	"context"
	"fmt"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

// Admit implements budget.Meter: it lets the tenant have as many calls to the outside as
// it may. It fails with the cause if the work under ctx has been ended, or must have.
func (e *entry) Admit(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := e.over(); err != nil {
		return err
	}
	t := e.box.tenant
	e.box.kind.set.mu.Lock()
	defer e.box.kind.set.mu.Unlock()
	if delay := wait(t.calls); delay > 0 {
		return budget.TransientAfter(fmt.Errorf("tenant %s may make %g calls per second", t.name, t.quota.Calls), delay)
	}
	return nil
}
