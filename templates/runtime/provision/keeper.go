package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// keeper keeps what tenants' namespaces have. A pass is about one namespace.
type keeper struct {
	name    string // of all objects, and of their field manager
	parts   []part
	only    []string // the namespaces that objects is about, nil for all
	objects client.Reader
	client  client.Client
	tenants *tenant.Set
}

// ReconcileKind implements reconciler.Interface. It does not get namespaces that are being
// deleted: what they have goes with them.
func (k *keeper) ReconcileKind(ctx context.Context, namespace *metav1.PartialObjectMetadata) error {
	if k.only != nil && !slices.Contains(k.only, namespace.Name) {
		return nil
	}
	isTenant, known := k.tenants.Has(namespace)
	if !known {
		return nil // what is there may be a tenant's
	}
	var taken []error // which does not keep the other objects from being made
	for _, p := range k.parts {
		err := k.keep(ctx, p, namespace.Name, isTenant && p.want != nil)
		if _, ok := errors.AsType[*NameTakenError](err); ok {
			taken = append(taken, err)
		} else if err != nil {
			return err
		}
	}
	return requeue.Terminal(errors.Join(taken...))
}

// keep has one object be as it is wanted, or not be there.
func (k *keeper) keep(ctx context.Context, p part, namespace string, wanted bool) error {
	stored, err := k.stored(ctx, p, namespace)
	if err != nil {
		return fmt.Errorf("%s: %w", p.kind, err)
	}
	made := stored != nil && k.made(stored)
	switch {
	case wanted && stored != nil && !made:
		return &NameTakenError{Kind: p.kind, Namespace: namespace, Name: k.name}
	case wanted:
		err = k.put(ctx, p, namespace, stored)
	case made:
		err = k.remove(ctx, stored)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", p.kind, err)
	}
	return nil
}

// stored returns an object as it is, nil if it is not there.
func (k *keeper) stored(ctx context.Context, p part, namespace string) (client.Object, error) {
	object := p.empty.DeepCopyObject().(client.Object)
	err := k.objects.Get(ctx, client.ObjectKey{Namespace: namespace, Name: k.name}, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return object, nil
}

// made reports whether an object is one that this operator made.
func (k *keeper) made(stored client.Object) bool {
	return slices.ContainsFunc(stored.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == k.name && e.Operation == metav1.ManagedFieldsOperationApply
	})
}

// put makes an object as it is wanted. The one that is stored, if it is not nil, was made
// by this operator.
func (k *keeper) put(ctx context.Context, p part, namespace string, stored client.Object) error {
	want, err := runtime.DefaultUnstructuredConverter.ToUnstructured(p.want(namespace))
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{Object: want}
	if stored == nil {
		return k.apply(ctx, object)
	}
	have, err := runtime.DefaultUnstructuredConverter.ToUnstructured(stored)
	switch {
	case err != nil:
		return err
	case covers(have, want):
		return nil
	case !covers(have[roleRef], want[roleRef]):
		if err := k.remove(ctx, stored); err != nil {
			return err
		}
		return k.apply(ctx, object)
	}
	object.SetUID(stored.GetUID()) // and no other of its name, made since
	return k.apply(ctx, object, client.ForceOwnership)
}

// apply writes an object. Without force that fails where somebody else has made one that
// differs, which the cache does not show yet.
func (k *keeper) apply(ctx context.Context, object *unstructured.Unstructured, options ...client.ApplyOption) error {
	return k.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), append(options, client.FieldOwner(k.name))...)
}

// remove deletes an object, and no other of its name.
func (k *keeper) remove(ctx context.Context, stored client.Object) error {
	uid := stored.GetUID()
	return client.IgnoreNotFound(k.client.Delete(ctx, stored, client.Preconditions{UID: &uid}))
}
