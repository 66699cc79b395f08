package budget_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// One slow answer costs an attempt, not the whole reconcile.
func ExampleOperation_Do() {
	charge := budget.Operation{
		Name:    "charge card",
		Timeout: 2 * time.Second,
		Attempt: 20 * time.Millisecond,
		Backoff: budget.Backoff{Attempts: 3, Base: time.Millisecond},
	}
	attempt := 0
	err := charge.Do(context.Background(), func(ctx context.Context) error {
		attempt++
		if attempt == 1 {
			<-ctx.Done() // the bank does not answer
			return context.Cause(ctx)
		}
		return nil
	})
	fmt.Println(attempt, err)
	// Output: 2 <nil>
}

// The reserve is there when the work has used up its own share.
func ExampleReconcile() {
	b := budget.Reconcile{Total: 40 * time.Millisecond, Reserve: 20 * time.Millisecond}
	work, done := b.Begin(context.Background())
	defer done()
	<-work.Done()
	fmt.Println(context.Cause(work), errors.Is(work.Err(), context.DeadlineExceeded))

	status, release, err := b.BeginStatus(work)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	fmt.Println(status.Err())

	// Where leadership was lost there is no reserve.
	term, lose := context.WithCancelCause(context.Background())
	lose(cause.LeadershipLost)
	_, _, err = b.BeginStatus(term)
	fmt.Println(err)
	// Output:
	// reconcile budget used up true
	// <nil>
	// leadership lost
}
