package tenant

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

func TestSettingsSayWhichNamespacesAreTenants(t *testing.T) {
	north := &metav1.ObjectMeta{Name: "north", Labels: map[string]string{"team": "a"}}
	south := &metav1.ObjectMeta{Name: "south", Labels: map[string]string{"team": "b"}}
	for _, test := range []struct {
		flags  []string
		want   string
		number int
	}{
		{nil, "north south", 10},
		{[]string{"--tenant-selector=team=a", "--tenant-workers=3"}, "north", 3},
		{[]string{"--tenant-namespaces=other, south"}, "south", 10},
		{[]string{"--tenant-selector=team notin (b)", "--tenant-namespaces=south"}, "north south", 10},
		{[]string{"--tenant-selector=team=c"}, "", 10},
	} {
		var s Settings
		fs := flag.NewFlagSet("operator", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		s.BindFlags(fs)
		if err := fs.Parse(test.flags); err != nil {
			t.Fatal(err)
		}
		selection, err := s.selection()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, namespace := range []*metav1.ObjectMeta{north, south} {
			if selection.Has(namespace) {
				got = append(got, namespace.Name)
			}
		}
		if all := strings.Join(got, " "); all != test.want {
			t.Errorf("%q: tenants %q, want %q", test.flags, all, test.want)
		}
		if n, err := s.count(); n != test.number || err != nil {
			t.Errorf("%q: %d workers, %v, want %d", test.flags, n, err, test.number)
		}
	}
}

func TestSettingsThatSayNothingAreRefused(t *testing.T) {
	for _, test := range []struct {
		settings Settings
		want     []string
	}{
		{Settings{Selector: "team in a"}, []string{`--tenant-selector "team in a": `, "give a label selector", "tenant=yes"}},
		{Settings{Namespaces: "north,,south"}, []string{`--tenant-namespaces "north,,south": "" is no name`, "separated by commas"}},
		{Settings{Namespaces: "team/a"}, []string{`"team/a" is no name of a namespace: `, "such as north,south"}},
		{Settings{Workers: 1}, []string{"--tenant-workers 1: ", "give 2 or more, or 0 for 10"}},
		{Settings{Workers: -1}, []string{"--tenant-workers -1: "}},
	} {
		set, err := test.settings.Follow(t.Context(), nil)
		if err == nil || set != nil {
			t.Errorf("%+v: %v, %v, want an error", test.settings, set, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: error %q does not say %q", test.settings, err, want)
			}
		}
	}
}

// Where a quota is required, it makes a tenant.
func TestAQuotaMayBeRequired(t *testing.T) {
	f := build(t, 4)
	Settings{RequireQuota: true}.require(f.Set)
	f.Put(Namespace{Name: "a", UID: "uid-of-a"})
	refused := func() {
		t.Helper()
		if _, _, err := f.Enter(t.Context(), key("a", "x")); !errors.Is(err, cause.TenantGone) {
			t.Errorf("error %v", err)
		}
	}
	refused()
	if len(f.arrived) != 0 {
		t.Error("objects of what is no tenant are enqueued")
	}
	f.Restrict("a", Quota{})
	if len(f.arrived) != 1 {
		t.Error("objects of a tenant are not enqueued")
	}
	_, leave := f.work(t, "a", "x")
	leave()
	f.Release("a")
	refused()
	if len(f.quotas) != 0 {
		t.Errorf("%d quotas are kept of namespaces that have none", len(f.quotas))
	}
}

func TestWithoutTenancyThereIsNoNumberOfWorkers(t *testing.T) {
	var none *Set
	if n := none.Workers(); n != 0 {
		t.Errorf("%d workers", n)
	}
}

func TestWhichNamespacesCanBeTenants(t *testing.T) {
	for what, c := range map[string]struct {
		settings Settings
		only     string
		all      bool
	}{
		"named":              {Settings{Namespaces: "a, b"}, "a b", false},
		"selected":           {Settings{Selector: "tenant=yes"}, "", false},
		"named and selected": {Settings{Namespaces: "a", Selector: "tenant=yes"}, "", false},
		"all":                {Settings{}, "", true},
		"bounded":            {Settings{RequireQuota: true}, "", false},
	} {
		only, err := c.settings.Only()
		if err != nil || strings.Join(only, " ") != c.only || (only == nil) != (c.only == "") {
			t.Errorf("%s: only %v, error %v", what, only, err)
		}
		if all := c.settings.All(); all != c.all {
			t.Errorf("%s: all is %v", what, all)
		}
	}
}
