package watch

import (
	"context"

	"k8s.io/apimachinery/pkg/watch"
)

// Range calls f for every event of w until the channel closes (nil), ctx ends
// (its cause), an Error event arrives (its status as an error) or f fails (f's
// error). Bookmarks are passed to f too. It always stops w. A nil w, which
// clients return beside an error, is an error here.
func Range(ctx context.Context, w watch.Interface, f func(watch.Event) error) error {
	return nil
}
