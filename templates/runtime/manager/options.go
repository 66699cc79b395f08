package manager

import (
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"context"
)

func managerOptions(s Settings, scheme *runtime.Scheme) ctrl.Options {
	shutdown := s.ShutdownTimeout - s.DrainDelay
	metrics := metricsserver.Options{BindAddress: s.MetricsBindAddress, SecureServing: s.MetricsSecure}
	if s.MetricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metrics,
		HealthProbeBindAddress:  s.ProbeBindAddress,
		GracefulShutdownTimeout: &shutdown,
		Controller:              config.Controller{ReconciliationTimeout: s.ReconcileTimeout},
		LeaderElection:          s.LeaderElection,
		LeaderElectionID:        s.LeaderElectionID,
		LeaderElectionNamespace: s.LeaderElectionNamespace,
	}
}

func (r *Runtime) ready(*http.Request) error {
	return context.Cause(r.stopping)
}
