package fleet

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// RequestsFor names the Fleet objects to reconcile because obj, which has
// metadata only, was added, changed or deleted; the project's settings say which
// resources are watched. This file is yours: as it stands, Fleet objects answer
// to changes of their namesakes.
func (*Reconciler) RequestsFor(_ context.Context, _ schema.GroupVersionResource, obj *metav1.PartialObjectMetadata) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(obj)}}
}
