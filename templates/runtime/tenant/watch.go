package tenant

import (
	"context"
	"fmt"
	"slices"

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

// Has reports whether a namespace is selected.
func (s Selection) Has(namespace metav1.Object) bool {
	if len(s.Names) == 0 && s.Selector == nil {
		return true
	}
	return slices.Contains(s.Names, namespace.GetName()) ||
		s.Selector != nil && s.Selector.Matches(labels.Set(namespace.GetLabels()))
}

// Only returns the names of all namespaces that can be selected, nil where others can be
// too, by a selector or because none is named.
func (s Selection) Only() []string {
	if s.Selector != nil {
		return nil
	}
	return s.Names
}

// Watch adds a watch to mgr that keeps the Set as the selected namespaces are, for as
// long as mgr runs. It reads metadata only and keeps none.
func (s *Set) Watch(mgr manager.Manager, selection Selection) error {
	s.selection = selection
	c, err := client.NewWithWatch(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme()})
	if err != nil {
		return fmt.Errorf("tenants: %w", err)
	}
	return mgr.Add(namespaces{&watch.Loop{Name: "namespaces", Source: watch.For(c, NamespaceMetadataList()), Handler: follower{s}}})
}

// Only is that of what Watch selects.
func (s *Set) Only() []string { return s.selection.Only() }

// Selects reports whether a namespace as it is given makes a tenant: it is one that Watch
// selects, and is not being deleted.
func (s *Set) Selects(namespace metav1.Object) bool {
	return namespace.GetDeletionTimestamp().IsZero() && s.selection.Has(namespace)
}

// Has reports whether a namespace as it is given is a tenant, which one that Selects tells
// of is not if it is excluded. It is not known where Watch has yet to come to the
// namespace; then Turns enqueues it.
func (s *Set) Has(namespace metav1.Object) (is, known bool) {
	if !s.Selects(namespace) {
		return false, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[namespace.GetName()]
	if t == nil {
		return false, false
	}
	return !t.quota.Excluded, true
}

// Expect has f called with each selected namespace before it becomes a tenant, and with
// each change of it: what f restricts holds from the tenant's first moment. An error of f
// ends Watch. Expect is called before the manager runs.
func (s *Set) Expect(f func(ctx context.Context, namespace metav1.Object) error) { s.expect = f }

// namespaces is a watch that runs also where another replica leads.
type namespaces struct{ *watch.Loop }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (namespaces) NeedLeaderElection() bool { return false }

// follower tells a Set what becomes of namespaces.
type follower struct{ set *Set }

// Replace implements watch.Handler.
func (f follower) Replace(ctx context.Context, items []runtime.Object) error {
	there := make(map[string]bool, len(items))
	for _, item := range items {
		namespace, err := meta.Accessor(item)
		if err != nil {
			return fmt.Errorf("tenants: %w", err)
		}
		there[namespace.GetName()] = true
		if err := f.follow(ctx, namespace); err != nil {
			return err
		}
	}
	f.set.Keep(there)
	return nil
}

// Handle implements watch.Handler.
func (f follower) Handle(ctx context.Context, event apiwatch.Event) error {
	namespace, err := meta.Accessor(event.Object)
	if err != nil {
		return fmt.Errorf("tenants: %w", err)
	}
	if event.Type == apiwatch.Deleted {
		f.set.Forget(namespace.GetName())
		return nil
	}
	return f.follow(ctx, namespace)
}

func (f follower) follow(ctx context.Context, namespace metav1.Object) error {
	if !f.set.selection.Has(namespace) {
		f.set.Forget(namespace.GetName())
		return nil
	}
	if f.set.expect != nil {
		if err := f.set.expect(ctx, namespace); err != nil {
			return fmt.Errorf("tenant %s: %w", namespace.GetName(), err)
		}
	}
	f.set.Put(Namespace{
		Name: namespace.GetName(), UID: namespace.GetUID(),
		Terminating: !namespace.GetDeletionTimestamp().IsZero(),
	})
	return nil
}
