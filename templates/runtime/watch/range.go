package watch

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
)

// Range calls f for every event of w until ctx ends (its cause), an Error event
// arrives (its status as an error), f fails (f's error) or the channel closes
// (nil). Bookmarks are passed to f too. Range always stops w. A nil w, which
// clients return beside an error, is an error here.
func Range(ctx context.Context, w watch.Interface, f func(watch.Event) error) error {
	if w == nil {
		return errors.New("watch: no watch to read from")
	}
	// Without Stop the goroutine that feeds the channel stays behind.
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case event, ok := <-w.ResultChan():
			switch {
			case ctx.Err() != nil:
				// The last event of a watch whose context ended is an Error that
				// only says so.
				return context.Cause(ctx)
			case !ok:
				return nil
			case event.Type == watch.Error:
				return apierrors.FromObject(event.Object)
			}
			if err := f(event); err != nil {
				return err
			}
		}
	}
}
