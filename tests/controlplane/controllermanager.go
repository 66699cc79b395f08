package main

// The identity that RBAC grants a controller manager its rights by.
const controllerManagerUser = "system:kube-controller-manager"

const controllerManagerKubeconfig = "controller-manager.kubeconfig"

// controllerManagerArgs returns the flags of a controller manager with those
// controllers that operators depend on and that need no nodes.
func controllerManagerArgs() []string {
	return []string{
		"--kubeconfig=" + controllerManagerKubeconfig,
		"--controllers=namespace-controller,resourcequota-controller,garbage-collector-controller,clusterrole-aggregation-controller",
		// Each controller has the rights, and in the audit log the name, it has in a cluster.
		"--use-service-account-credentials",
		// When the controller learns of a kind, a quota that limits it already
		// waits for this, five minutes by default.
		"--resource-quota-sync-period=1s",
		"--leader-elect=false",
		"--secure-port=0",
	}
}
