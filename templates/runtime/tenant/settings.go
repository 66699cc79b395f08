package tenant

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// DefaultWorkers is enough for a tenant to have half of them and for others to
// notice nothing.
const DefaultWorkers = 10

// Settings say which namespaces are tenants: those that are named and those that are
// selected, and all of them if neither is given; of these only those with a quota, where
// one is required.
type Settings struct {
	// Selector is a label selector of namespaces.
	Selector string
	// Namespaces are names of namespaces, separated by commas.
	Namespaces string
	// RequireQuota excludes namespaces that are given no quota.
	RequireQuota bool
	// Workers is how many objects of one kind are worked on at a time, by all
	// tenants together. 0 means [DefaultWorkers].
	Workers int
}

// BindFlags adds a flag for each setting, with the present values as defaults.
func (s *Settings) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&s.Selector, "tenant-selector", s.Selector,
		"Label selector of the namespaces that are tenants, such as tenant=yes. Without it and --tenant-namespaces all are.")
	fs.StringVar(&s.Namespaces, "tenant-namespaces", s.Namespaces,
		"Names of namespaces that are tenants, separated by commas, beside those that --tenant-selector selects.")
	fs.BoolVar(&s.RequireQuota, "tenant-require-quota", s.RequireQuota,
		"Of these namespaces only those are tenants that a TenantQuota or a QuotaTemplate is about.")
	fs.IntVar(&s.Workers, "tenant-workers", s.Workers,
		fmt.Sprintf("How many objects of one kind are worked on at a time, by all tenants together. 0 means %d.", DefaultWorkers))
}

// Follow returns the tenants that the settings say, which are as the namespaces are for
// as long as mgr runs. Of ctx they have the values.
func (s Settings) Follow(ctx context.Context, mgr manager.Manager) (*Set, error) {
	selection, err := s.selection()
	if err != nil {
		return nil, err
	}
	set := New(ctx)
	if set.workers, err = s.count(); err != nil {
		return nil, err
	}
	s.require(set)
	return set, set.Watch(mgr, selection)
}

// require has tenants without a quota be excluded, where one is required.
func (s Settings) require(set *Set) { set.free = allow(Quota{Excluded: s.RequireQuota}) }

func (s Settings) count() (int, error) {
	switch {
	case s.Workers == 0:
		return DefaultWorkers, nil
	case s.Workers < 2:
		return 0, fmt.Errorf("--tenant-workers %d: one tenant that hangs would stop all others; give 2 or more, or 0 for %d", s.Workers, DefaultWorkers)
	}
	return s.Workers, nil
}

func (s Settings) selection() (Selection, error) {
	var selection Selection
	if s.Selector != "" {
		selector, err := labels.Parse(s.Selector)
		if err != nil {
			return Selection{}, fmt.Errorf("--tenant-selector %q: %w; give a label selector of namespaces, such as tenant=yes or 'team in (north, south)'", s.Selector, err)
		}
		selection.Selector = selector
	}
	var err error
	selection.Names, err = Names("--tenant-namespaces", s.Namespaces)
	return selection, err
}

// Only is that of the namespaces that are selected.
func (s Settings) Only() ([]string, error) {
	selection, err := s.selection()
	return selection.Only(), err
}

// All reports whether every namespace is a tenant.
func (s Settings) All() bool { return s.Selector == "" && s.Namespaces == "" && !s.RequireQuota }

// Names reads the value of a flag: names of namespaces, separated by commas.
func Names(flag, value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if faults := validation.IsDNS1123Label(name); len(faults) > 0 {
			return nil, fmt.Errorf("%s %q: %q is no name of a namespace: %s; give names separated by commas, such as north,south",
				flag, value, name, strings.Join(faults, ", "))
		}
		names = append(names, name)
	}
	return names, nil
}

// Workers returns how many objects of one kind are worked on at a time, 0 without
// tenancy, of a nil Set.
func (s *Set) Workers() int {
	if s == nil {
		return 0
	}
	return s.workers
}
