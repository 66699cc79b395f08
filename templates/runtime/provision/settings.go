package provision

import (
	"errors"
	"flag"
	"fmt"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/access"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// Settings say what is kept in the namespaces of tenants.
type Settings struct {
	// Name is that of everything that is kept, of its field manager, and of the
	// ClusterRole that accounts are bound to. It is of this operator alone.
	Name string
	// RBAC has accounts kept, with their role.
	RBAC bool
	// NetworkPolicy has network policies kept.
	NetworkPolicy bool
}

// BindFlags adds a flag for each setting but Name, with the present values as defaults.
func (s *Settings) BindFlags(fs *flag.FlagSet) {
	fs.BoolVar(&s.RBAC, "tenant-rbac", s.RBAC,
		fmt.Sprintf("Keep a service account %s in the namespace of each tenant, bound to the ClusterRole of that name, in whose name reconcilers make their requests.", s.Name))
	fs.BoolVar(&s.NetworkPolicy, "tenant-network-policy", s.NetworkPolicy,
		fmt.Sprintf("Keep a network policy %s in the namespace of each tenant: its pods are reached from there and from the operator's namespace alone.", s.Name))
}

// Reach returns r with the account that is kept, where one is.
func (s Settings) Reach(r access.Settings) (access.Settings, error) {
	if !s.RBAC {
		return r, nil
	}
	if r.Account != "" {
		return r, errors.New("--tenant-rbac and --tenant-service-account: requests are made in the name of one account, " +
			"the one that is kept in each tenant's namespace or one that you make there; leave one of the two out")
	}
	r.Account = s.Name
	return r, nil
}

// home returns the namespace that network policies let in, the operator's own.
func (s Settings) home(process manager.Settings, tenants tenant.Settings) (string, error) {
	if !s.NetworkPolicy {
		return "", nil
	}
	if tenants.All() {
		return "", errors.New("--tenant-network-policy without --tenant-selector, --tenant-namespaces and --tenant-require-quota: every namespace is a tenant, " +
			"and what others need of kube-system would be cut off; say which are tenants")
	}
	namespace, err := process.Leader.Home()
	if err != nil {
		return "", fmt.Errorf("--tenant-network-policy: %w", err)
	}
	return namespace, nil
}
