package status

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Writer writes the status of objects of one type.
type Writer[T client.Object] struct {
	// Client sends the patch.
	Client client.Client
	// Live reads the object after a conflict, from the API server and not from
	// a cache.
	Live client.Reader
	// Status returns a pointer to the object's status.
	Status func(T) any
	// Subresource tells whether the CRD has the status subresource.
	Subresource bool
}

// Write sends the difference between the status in before and in after, two
// states of the same object. It reports whether anything was written. It tries
// again after conflicts until ctx ends. An object that is gone, or replaced by
// another of the same name, is nothing to write and no error.
func (w *Writer[T]) Write(ctx context.Context, before, after T) (bool, error) {
	return false, nil
}
