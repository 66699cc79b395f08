package reconciler

import (
	"context"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/ability"
)

// mapper is implemented by reconcilers of kinds that watch what is not the
// operator's own. The generated code calls it.
type mapper interface {
	RequestsFor(ctx context.Context, resource schema.GroupVersionResource, obj *metav1.PartialObjectMetadata) []reconcile.Request
}

// checkAbilities returns an error for each method of a user's reconciler that has
// the name of an optional one and another signature: it would be ignored.
func checkAbilities[T client.Object](user any) error {
	return ability.Check(user,
		reflect.TypeFor[Finalizer[T]](),
		reflect.TypeFor[Observer[T]](),
		reflect.TypeFor[Periodic](),
		reflect.TypeFor[Budgeted](),
		reflect.TypeFor[Interruptible](),
		reflect.TypeFor[Configurer](),
		reflect.TypeFor[OptionsConfigurer](),
		reflect.TypeFor[Predicated](),
		reflect.TypeFor[mapper](),
	)
}
