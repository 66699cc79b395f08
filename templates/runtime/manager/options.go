package manager

import (
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// managerOptions translates completed settings. The manager gets a little less
// than the shutdown timeout, to hand back its lease and its events.
func (s Settings) managerOptions(scheme *runtime.Scheme) ctrl.Options {
	grace := s.ShutdownTimeout - s.DrainDelay
	grace -= min(time.Second, grace/10)
	metrics := metricsserver.Options{BindAddress: s.MetricsBindAddress, SecureServing: s.MetricsSecure}
	// Exemplars, which lead from a metric to a trace, are only in OpenMetrics.
	metrics.HandlerOpts = append(metrics.HandlerOpts, func(o *promhttp.HandlerOpts) { o.EnableOpenMetrics = true })
	if s.MetricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	controllers := config.Controller{
		// A backstop: the chain's own deadline is earlier and has a cause.
		ReconciliationTimeout: s.ReconcileTimeout,
		// Without it Warmup does nothing, and nobody knows when they have synced.
		EnableWarmup: new(true),
	}
	if s.LeaderElection {
		// They run in both modes, and their gate knows the difference.
		controllers.NeedLeaderElection = new(false)
	}
	return ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metrics,
		HealthProbeBindAddress:  s.ProbeBindAddress,
		GracefulShutdownTimeout: &grace,
		Controller:              controllers,
	}
}
