package tenant

import (
	"slices"
	"testing"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestWhoBecomesATenantIsTold(t *testing.T) {
	f := build(t, 4, "before")
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	if err := f.Turns().Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	told := func(what string, want ...string) {
		t.Helper()
		var got []string
		for queue.Len() > 0 {
			r, _ := queue.Get()
			got = append(got, r.Name)
			queue.Done(r)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: told %v, want %v", what, got, want)
		}
	}
	told("at the start", "before")
	f.Put(Namespace{Name: "a", UID: "uid-of-a"})
	told("a namespace that comes", "a")
	f.Put(Namespace{Name: "a", UID: "uid-of-a"})
	told("one that changes")
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 1}})
	told("limits")
	f.Restrict("a", Quota{Excluded: true})
	told("one that is excluded", "a")
	f.Release("a")
	told("one that is no longer", "a")
	f.Forget("a")
	told("one that goes", "a")
}
