package access

import (
	"maps"
	"slices"
	"strings"
	"testing"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

func TestAccountsAndTheServersFenceExclude(t *testing.T) {
	fenced := manager.Settings{LeaderElection: true, Leader: leader.Settings{ServerFence: true}}
	if err := (Settings{Account: "worker"}).fits(fenced); err == nil || !strings.Contains(err.Error(), "leave one of the two out") {
		t.Errorf("both: %v", err)
	}
	if err := (Settings{}).fits(fenced); err != nil {
		t.Errorf("the fence alone: %v", err)
	}
	if err := (Settings{Account: "worker"}).fits(manager.Settings{LeaderElection: true}); err != nil {
		t.Errorf("the account alone: %v", err)
	}
}

func TestTheCacheIsLimitedWhereTenantsAreNamed(t *testing.T) {
	for what, c := range map[string]struct {
		tenants tenant.Settings
		want    []string
	}{
		"named":              {tenant.Settings{Namespaces: "a, b"}, []string{"a", "b", "s"}},
		"named and selected": {tenant.Settings{Namespaces: "a", Selector: "tenant=yes"}, nil},
		"all":                {tenant.Settings{}, nil},
	} {
		var o ctrl.Options
		if err := (Settings{Shared: "s"}).Limit(&o, c.tenants); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(o.Cache.DefaultNamespaces)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}
