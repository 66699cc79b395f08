package provision

import (
	"flag"
	"strings"
	"testing"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/access"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

func TestFlagsNameWhatIsKept(t *testing.T) {
	s := Settings{Name: "shop-tenant"}
	fs := flag.NewFlagSet("operator", flag.ContinueOnError)
	s.BindFlags(fs)
	if err := fs.Parse([]string{"--tenant-rbac", "--tenant-network-policy"}); err != nil {
		t.Fatal(err)
	}
	if !s.RBAC || !s.NetworkPolicy {
		t.Errorf("%+v", s)
	}
	fs.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(f.Usage, s.Name) || f.DefValue != "false" {
			t.Errorf("--%s, %s by default: %s", f.Name, f.DefValue, f.Usage)
		}
	})
}

func TestTheKeptAccountIsTheOneOfRequests(t *testing.T) {
	for what, c := range map[string]struct {
		kept  Settings
		reach access.Settings
		want  string
		says  string
	}{
		"kept":    {Settings{Name: "n", RBAC: true}, access.Settings{Shared: "s"}, "n", ""},
		"given":   {Settings{Name: "n", NetworkPolicy: true}, access.Settings{Shared: "s", Account: "mine"}, "mine", ""},
		"neither": {Settings{Name: "n"}, access.Settings{Shared: "s"}, "", ""},
		"both":    {Settings{Name: "n", RBAC: true}, access.Settings{Shared: "s", Account: "mine"}, "mine", "--tenant-rbac and --tenant-service-account"},
	} {
		got, err := c.kept.Reach(c.reach)
		if got != (access.Settings{Shared: "s", Account: c.want}) {
			t.Errorf("%s: %+v", what, got)
		}
		if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %q", what, err, c.says)
		}
	}
}

func TestTheNamespaceThatPoliciesLetIn(t *testing.T) {
	here := manager.Settings{Leader: leader.Settings{Namespace: "shop-system"}}
	selected := tenant.Settings{Selector: "tenant=yes"}
	says := ""
	pod, err := leader.Settings{}.Home() // wherever this runs
	if err != nil {
		says = "--tenant-network-policy: " + err.Error()
	}
	for what, c := range map[string]struct {
		kept    Settings
		process manager.Settings
		tenants tenant.Settings
		want    string
		says    string
	}{
		"selected tenants": {Settings{NetworkPolicy: true}, here, selected, "shop-system", ""},
		"named tenants":    {Settings{NetworkPolicy: true}, here, tenant.Settings{Namespaces: "a"}, "shop-system", ""},
		"all namespaces":   {Settings{NetworkPolicy: true}, here, tenant.Settings{}, "", "say which are tenants"},
		"the pod's":        {Settings{NetworkPolicy: true}, manager.Settings{}, selected, pod, says},
		"no policies":      {Settings{RBAC: true}, manager.Settings{}, tenant.Settings{}, "", ""},
	} {
		got, err := c.kept.home(c.process, c.tenants)
		if got != c.want || (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, error %v, want %q, error %q", what, got, err, c.want, c.says)
		}
	}
}

func TestWithoutFlagsNothingIsSetUp(t *testing.T) {
	if err := (Settings{Name: "n"}).Setup(nil, nil, tenant.Settings{}); err != nil {
		t.Error(err)
	}
}
