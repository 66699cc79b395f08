package manager

import (
	"flag"
	"fmt"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpapi"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
)

// Margin is what each period is longer than the one it has to outlast.
const Margin = 5 * time.Second

// DefaultReconcileTimeout yields Kubernetes' own default grace period of 30 s.
const DefaultReconcileTimeout = 20 * time.Second

// Settings are the operator's settings. Zero durations are derived from
// ReconcileTimeout, see [Settings.Complete].
type Settings struct {
	// ReconcileTimeout is the longest a reconcile may take, including the write of
	// its status, of every kind that has no budget of its own. 0 means
	// [DefaultReconcileTimeout].
	ReconcileTimeout time.Duration
	// StatusReserve is the part of ReconcileTimeout kept for the status write.
	// 0 means a quarter of it, at most 5 s.
	StatusReserve time.Duration
	// DrainDelay is how long servers go on answering after readiness turned
	// false, so that callers can turn away.
	DrainDelay time.Duration
	// ShutdownTimeout is the time from the signal to the return of Run. 0 means
	// DrainDelay + ReconcileTimeout + Margin, with the longest webhook, or answer of
	// the HTTP API, in the place of ReconcileTimeout if that is longer and served.
	ShutdownTimeout time.Duration
	// PodGrace is the pod's terminationGracePeriodSeconds, after which it is
	// killed. 0 means ShutdownTimeout + Margin, rounded up to a whole second;
	// the manifest must then have that value.
	PodGrace time.Duration

	// MetricsBindAddress is where metrics are served; "0" turns them off.
	MetricsBindAddress string
	// MetricsSecure serves metrics by HTTPS with authentication and authorization.
	MetricsSecure bool
	// ProbeBindAddress is where /healthz and /readyz are served; "0" turns them off.
	ProbeBindAddress string
	// Webhook says how webhooks are served; without an address they are not.
	Webhook admission.Settings
	// HTTP says how the operator's HTTP API is served; without an address it is not.
	HTTP httpapi.Settings
	// LeaderElection lets one of several replicas work at a time.
	LeaderElection bool
	// LeaderElectionID names the lease, required with LeaderElection.
	LeaderElectionID string
	// Leader says how the lease is competed for. Its Name is LeaderElectionID.
	Leader leader.Settings
}

// BindFlags adds a flag for each setting, with the present values as defaults.
func (s *Settings) BindFlags(fs *flag.FlagSet) {
	fs.DurationVar(&s.ReconcileTimeout, "reconcile-timeout", s.ReconcileTimeout,
		fmt.Sprintf("Longest time for one reconcile; the shutdown periods follow from it. 0 means %s.", DefaultReconcileTimeout))
	fs.DurationVar(&s.StatusReserve, "status-reserve", s.StatusReserve,
		"Part of --reconcile-timeout kept for writing the status. 0 means a quarter, at most 5s.")
	fs.DurationVar(&s.DrainDelay, "drain-delay", s.DrainDelay,
		"How long servers go on answering after readiness turned false.")
	fs.DurationVar(&s.ShutdownTimeout, "shutdown-timeout", s.ShutdownTimeout,
		fmt.Sprintf("Time from the signal to the end of the process. 0 means --drain-delay + --reconcile-timeout (or the longest webhook or answer of the HTTP API) + %s.", Margin))
	fs.DurationVar(&s.PodGrace, "pod-grace", s.PodGrace,
		fmt.Sprintf("The pod's terminationGracePeriodSeconds, to be checked against. 0 means --shutdown-timeout + %s.", Margin))
	fs.StringVar(&s.MetricsBindAddress, "metrics-bind-address", s.MetricsBindAddress,
		"Address for metrics, such as :8443; 0 turns them off.")
	fs.BoolVar(&s.MetricsSecure, "metrics-secure", s.MetricsSecure,
		"Serve metrics by HTTPS, to callers that may read them.")
	fs.StringVar(&s.ProbeBindAddress, "health-probe-bind-address", s.ProbeBindAddress,
		"Address for /healthz and /readyz; 0 turns them off.")
	fs.BoolVar(&s.LeaderElection, "leader-elect", s.LeaderElection,
		"Let one of several replicas work at a time.")
	s.Webhook.BindFlags(fs)
	s.HTTP.BindFlags(fs)
	s.Leader.BindFlags(fs)
}

// Complete returns a copy with derived values filled in, or an error that says
// which settings contradict each other and what to change.
func (s Settings) Complete() (Settings, error) {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"--reconcile-timeout", s.ReconcileTimeout},
		{"--status-reserve", s.StatusReserve},
		{"--drain-delay", s.DrainDelay},
		{"--shutdown-timeout", s.ShutdownTimeout},
		{"--pod-grace", s.PodGrace},
	} {
		if d.value < 0 {
			return s, fmt.Errorf("%s %s is negative", d.flag, d.value)
		}
	}
	if s.ReconcileTimeout == 0 {
		s.ReconcileTimeout = DefaultReconcileTimeout
	}
	if s.Webhook.Serves() {
		var err error
		if s.Webhook, err = s.Webhook.Complete(); err != nil {
			return s, err
		}
	}
	if s.HTTP.Serves() {
		var err error
		if s.HTTP, err = s.HTTP.Complete(); err != nil {
			return s, err
		}
	}
	if s.StatusReserve == 0 {
		s.StatusReserve = min(s.ReconcileTimeout/4, 5*time.Second)
	}
	if s.ShutdownTimeout == 0 {
		s.ShutdownTimeout = s.DrainDelay + max(s.ReconcileTimeout, s.longestWebhook(), s.HTTP.Longest()) + Margin
	}
	if s.PodGrace == 0 {
		s.PodGrace = (s.ShutdownTimeout + Margin + time.Second - 1).Truncate(time.Second)
	}
	if s.LeaderElection {
		var err error
		s.Leader.Name = s.LeaderElectionID
		if s.Leader, err = s.Leader.Complete(); err != nil {
			return s, err
		}
	}
	return s, s.check()
}

func (s Settings) check() error {
	if err := s.Budget().Validate(); err != nil {
		return fmt.Errorf("%w: change --reconcile-timeout or --status-reserve", err)
	}
	if s.ReconcileTimeout+s.DrainDelay >= s.ShutdownTimeout {
		return fmt.Errorf("--reconcile-timeout %s (with --drain-delay %s) is not shorter than --shutdown-timeout %s: "+
			"a reconcile that runs when the operator is stopped would be cut off; raise --shutdown-timeout or lower --reconcile-timeout",
			s.ReconcileTimeout, s.DrainDelay, s.ShutdownTimeout)
	}
	if s.longestWebhook()+s.DrainDelay >= s.ShutdownTimeout {
		return fmt.Errorf("--webhook-max-timeout or --webhook-conversion-timeout %s (with --drain-delay %s) is not shorter than --shutdown-timeout %s: "+
			"a webhook that runs when the operator is stopped would be cut off; raise --shutdown-timeout or lower the webhook's time",
			s.longestWebhook(), s.DrainDelay, s.ShutdownTimeout)
	}
	if s.HTTP.Longest()+s.DrainDelay >= s.ShutdownTimeout {
		return fmt.Errorf("--http-max-timeout %s (with --drain-delay %s) is not shorter than --shutdown-timeout %s: "+
			"an answer that is being made when the operator is stopped would be cut off; raise --shutdown-timeout or lower --http-max-timeout",
			s.HTTP.Longest(), s.DrainDelay, s.ShutdownTimeout)
	}
	if s.ShutdownTimeout >= s.PodGrace {
		return fmt.Errorf("--shutdown-timeout %s is not shorter than the pod's grace period of %s: "+
			"the pod would be killed in the middle of its shutdown; raise terminationGracePeriodSeconds and --pod-grace or lower --reconcile-timeout",
			s.ShutdownTimeout, s.PodGrace)
	}
	if s.PodGrace%time.Second != 0 {
		return fmt.Errorf("--pod-grace %s: terminationGracePeriodSeconds is in whole seconds", s.PodGrace)
	}
	return nil
}

// longestWebhook is the longest that the answer of a webhook may take, 0 if none
// is served.
func (s Settings) longestWebhook() time.Duration {
	if !s.Webhook.Serves() {
		return 0
	}
	return s.Webhook.Longest()
}

// Budget is the time of one reconcile. It is meaningful for completed settings.
func (s Settings) Budget() budget.Reconcile {
	return budget.Reconcile{Total: s.ReconcileTimeout, Reserve: s.StatusReserve}
}
