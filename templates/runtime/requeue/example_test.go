package requeue_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

var errRefused = errors.New("card refused")

// pay says what shall happen next by its one return value.
func pay(state string, callErr error) error {
	switch {
	case errors.Is(callErr, errRefused):
		return requeue.Terminal(requeue.Because("CardRefused", callErr))
	case callErr != nil:
		return fmt.Errorf("ask the bank: %w", callErr)
	case state == "processing":
		return requeue.Pending(10*time.Second, "PaymentProcessing", "the bank has not decided yet")
	}
	return nil
}

func Example() {
	fmt.Println(pay("settled", nil))
	fmt.Println(pay("processing", nil))
	fmt.Println(pay("", errors.New("connection refused")))
	fmt.Println(pay("", errRefused))
	// Output:
	// <nil>
	// PaymentProcessing: the bank has not decided yet; again after 10s
	// ask the bank: connection refused
	// terminal error: card refused
}
