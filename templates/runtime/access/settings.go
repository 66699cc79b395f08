package access

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// Settings say what is done for a tenant may reach.
type Settings struct {
	// Shared are names of namespaces that every tenant's work may read, separated by
	// commas.
	Shared string
	// Account is the name of the service account, in each tenant's namespace, in whose
	// name requests are made. Empty means the operator's own.
	Account string
}

// BindFlags adds a flag for each setting, with the present values as defaults.
func (s *Settings) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&s.Shared, "tenant-shared-namespaces", s.Shared,
		"Names of namespaces that the work for every tenant may read, separated by commas.")
	fs.StringVar(&s.Account, "tenant-service-account", s.Account,
		"Name of the service account, in the namespace of each tenant, in whose name reconcilers make their requests. Without it that is the operator's own.")
}

// Limit has a manager's cache hold only objects of the tenants' and the shared namespaces,
// where tenants are named and not selected. Rights in these namespaces are then enough
// for it.
func (s Settings) Limit(o *ctrl.Options, tenants tenant.Settings) error {
	named, err := tenants.Only()
	if err != nil || named == nil {
		return err
	}
	shared, err := tenant.Names("--tenant-shared-namespaces", s.Shared)
	if err != nil {
		return err
	}
	o.Cache.DefaultNamespaces = map[string]cache.Config{}
	for _, name := range append(named, shared...) {
		o.Cache.DefaultNamespaces[name] = cache.Config{}
	}
	return nil
}

// fits tells why the settings cannot be kept beside those of the process.
func (s Settings) fits(process manager.Settings) error {
	if s.Account != "" && process.LeaderElection && process.Leader.ServerFence {
		return errors.New("--tenant-service-account or --tenant-rbac, and --leader-elect-server-fence: a request cannot be made in the name of a tenant's account " +
			"and of the operator's own; leave one of the two out")
	}
	return nil
}

func (s Settings) policy() (*policy, error) {
	names, err := tenant.Names("--tenant-shared-namespaces", s.Shared)
	if err != nil {
		return nil, err
	}
	p := &policy{shared: map[string]bool{}, account: s.Account}
	for _, name := range names {
		p.shared[name] = true
	}
	if faults := validation.IsDNS1123Subdomain(s.Account); s.Account != "" && len(faults) > 0 {
		return nil, fmt.Errorf("--tenant-service-account %q is no name of a service account: %s; give a name such as tenant", s.Account, strings.Join(faults, ", "))
	}
	return p, nil
}
