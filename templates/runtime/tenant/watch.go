package tenant

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// Selection says which namespaces are tenants: those of the given names, and those
// whose labels match. The zero Selection is all namespaces.
type Selection struct {
	Names    []string
	Selector labels.Selector
}

// Has tells whether a namespace is selected.
func (s Selection) Has(namespace metav1.Object) bool {
	if len(s.Names) == 0 && s.Selector == nil {
		return true
	}
	return slices.Contains(s.Names, namespace.GetName()) ||
		s.Selector != nil && s.Selector.Matches(labels.Set(namespace.GetLabels()))
}

// Watch adds a watch to mgr that keeps the Set as the selected namespaces are, for as
// long as mgr runs. It reads metadata only and keeps none.
func (s *Set) Watch(mgr manager.Manager, selection Selection) error {
	c, err := client.NewWithWatch(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme()})
	if err != nil {
		return fmt.Errorf("tenants: %w", err)
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	return mgr.Add(namespaces{&watch.Loop{Name: "namespaces", Source: watch.For(c, list), Handler: &follower{s, selection}}})
}

// namespaces is a watch that runs also where another replica leads.
type namespaces struct{ *watch.Loop }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (namespaces) NeedLeaderElection() bool { return false }

// follower tells a Set what becomes of namespaces.
type follower struct {
	set       *Set
	selection Selection
}

// Replace implements watch.Handler.
func (f *follower) Replace(_ context.Context, items []runtime.Object) error {
	there := make(map[string]bool, len(items))
	for _, item := range items {
		namespace, err := meta.Accessor(item)
		if err != nil {
			return fmt.Errorf("tenants: %w", err)
		}
		there[namespace.GetName()] = true
		f.follow(namespace)
	}
	f.set.Keep(there)
	return nil
}

// Handle implements watch.Handler.
func (f *follower) Handle(_ context.Context, event apiwatch.Event) error {
	namespace, err := meta.Accessor(event.Object)
	if err != nil {
		return fmt.Errorf("tenants: %w", err)
	}
	if event.Type == apiwatch.Deleted {
		f.set.Forget(namespace.GetName())
		return nil
	}
	f.follow(namespace)
	return nil
}

func (f *follower) follow(namespace metav1.Object) {
	if !f.selection.Has(namespace) {
		f.set.Forget(namespace.GetName())
		return
	}
	f.set.Put(Namespace{
		Name: namespace.GetName(), UID: namespace.GetUID(),
		Terminating: !namespace.GetDeletionTimestamp().IsZero(),
	})
}
