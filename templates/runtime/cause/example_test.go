package cause_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// A cause names why, and code that only knows the standard sentinels still
// reads it right.
func ExampleClassify() {
	ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, cause.OperationDeadline.With("bank, 1ms"))
	defer cancel()
	<-ctx.Done()

	outcome := cause.Classify(ctx, nil) // the operation swallowed the end of its time
	fmt.Println(outcome.Name)
	fmt.Println(outcome.Err)
	fmt.Println(errors.Is(outcome.Err, context.DeadlineExceeded))
	// Output:
	// operation_deadline
	// operation budget used up: bank, 1ms
	// true
}
