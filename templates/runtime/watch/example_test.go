package watch_test

import (
	"context"
	"fmt"

	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

func ExampleRange() {
	w := apiwatch.NewFakeWithChanSize(2, false) // from a client's Watch
	w.Add(&runtimetest.Widget{})
	w.Delete(&runtimetest.Widget{})

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := watch.Range(ctx, w, func(event apiwatch.Event) error {
		fmt.Println(event.Type)
		if event.Type == apiwatch.Deleted {
			return fmt.Errorf("nothing left to watch")
		}
		return nil
	})
	fmt.Println(err, w.IsStopped())
	// Output:
	// ADDED
	// DELETED
	// nothing left to watch true
}
