package leader

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/tools/leaderelection"
)

// DefaultLeaseDuration is that of Kubernetes' own components.
const DefaultLeaseDuration = 15 * time.Second

// Settings say which Lease is competed for, as whom, and how fast. Zero values
// are filled in by [Settings.Complete].
type Settings struct {
	// Name is the Lease's name. It is required.
	Name string
	// Namespace is the Lease's namespace; empty means the pod's own.
	Namespace string
	// Identity names this process as holder of the Lease. No two processes may
	// have the same at the same time. Empty means the host's name and something
	// random.
	Identity string
	// LeaseDuration is how long others wait, after the last renewal they saw,
	// before they take over. It is in whole seconds. 0 means
	// [DefaultLeaseDuration].
	LeaseDuration time.Duration
	// RenewDeadline is how long one renewal is tried. 0 means two thirds of
	// LeaseDuration.
	RenewDeadline time.Duration
	// RetryPeriod is the time between renewals, and between attempts to take
	// over. 0 means a fifth of RenewDeadline.
	RetryPeriod time.Duration
	// Margin is how long before the end of LeaseDuration a leader that could not
	// renew stops. It covers what is on its way to the API server then, and
	// clocks of different speed. 0 means a tenth of LeaseDuration.
	Margin time.Duration
	// ServerFence has every write tell the API server in which term it is made,
	// for a ValidatingAdmissionPolicy to compare with the Lease.
	ServerFence bool
}

// BindFlags adds a flag for each setting but Name, with the present values as
// defaults.
func (s *Settings) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&s.Namespace, "leader-elect-namespace", s.Namespace,
		"Namespace of the lease; empty means the pod's own.")
	fs.StringVar(&s.Identity, "leader-elect-identity", s.Identity,
		"Name of this process as the lease's holder, which no other may have; empty means the host's name and something random.")
	fs.DurationVar(&s.LeaseDuration, "leader-elect-lease-duration", s.LeaseDuration,
		fmt.Sprintf("How long others wait before they take over from a leader that is silent, in whole seconds. 0 means %s.", DefaultLeaseDuration))
	fs.DurationVar(&s.RenewDeadline, "leader-elect-renew-deadline", s.RenewDeadline,
		"How long a renewal of the lease is tried. 0 means two thirds of --leader-elect-lease-duration.")
	fs.DurationVar(&s.RetryPeriod, "leader-elect-retry-period", s.RetryPeriod,
		"Time between renewals of the lease. 0 means a fifth of --leader-elect-renew-deadline.")
	fs.DurationVar(&s.Margin, "leader-elect-margin", s.Margin,
		"How long before its lease is over a leader that could not renew it stops. 0 means a tenth of --leader-elect-lease-duration.")
	fs.BoolVar(&s.ServerFence, "leader-elect-server-fence", s.ServerFence,
		"Tell the API server with each write in which term it is made, for the policy in config/fence to check.")
}

// Complete returns a copy with everything filled in but Namespace and Identity,
// or an error that says which settings are not safe, why, and what to change.
func (s Settings) Complete() (Settings, error) {
	for _, d := range s.durations() {
		if *d.value < 0 {
			return s, fmt.Errorf("%s %s is negative", d.flag, *d.value)
		}
	}
	if s.LeaseDuration == 0 {
		s.LeaseDuration = DefaultLeaseDuration
	}
	if s.RenewDeadline == 0 {
		s.RenewDeadline = s.LeaseDuration * 2 / 3
	}
	if s.RetryPeriod == 0 {
		s.RetryPeriod = s.RenewDeadline / 5
	}
	if s.Margin == 0 {
		s.Margin = s.LeaseDuration / 10
	}
	return s, s.check()
}

type duration struct {
	flag  string
	value *time.Duration
}

func (s *Settings) durations() []duration {
	return []duration{
		{"--leader-elect-lease-duration", &s.LeaseDuration},
		{"--leader-elect-renew-deadline", &s.RenewDeadline},
		{"--leader-elect-retry-period", &s.RetryPeriod},
		{"--leader-elect-margin", &s.Margin},
	}
}

func (s Settings) check() error {
	if s.Name == "" {
		return errors.New("leader election needs the name of its lease")
	}
	if s.LeaseDuration%time.Second != 0 {
		return fmt.Errorf("--leader-elect-lease-duration %s is not in whole seconds: "+
			"a Lease stores whole seconds, so others would take over after %s already; round it up",
			s.LeaseDuration, s.LeaseDuration.Truncate(time.Second))
	}
	if s.RenewDeadline >= s.LeaseDuration {
		return fmt.Errorf("--leader-elect-renew-deadline %s is not shorter than --leader-elect-lease-duration %s: "+
			"a renewal would still be tried when others may take over; lower it to two thirds of the lease duration",
			s.RenewDeadline, s.LeaseDuration)
	}
	if least := time.Duration(leaderelection.JitterFactor * float64(s.RetryPeriod)); s.RenewDeadline <= least {
		return fmt.Errorf("--leader-elect-renew-deadline %s is not longer than %s, %.1f times --leader-elect-retry-period: "+
			"a renewal that fails once would not be tried again; lower the retry period to a fifth of the renew deadline",
			s.RenewDeadline, least, leaderelection.JitterFactor)
	}
	if most := s.LeaseDuration - s.RenewDeadline; s.Margin >= most {
		return fmt.Errorf("--leader-elect-margin %s is not shorter than %s, which --leader-elect-renew-deadline leaves of "+
			"--leader-elect-lease-duration: the leader would stop while it is still trying to renew; lower the margin or raise the lease duration",
			s.Margin, most)
	}
	return nil
}

// podNamespace is where the kubelet tells a container its namespace.
const podNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Home returns Namespace or, where it is empty, that of the pod. It fails outside of a pod.
func (s Settings) Home() (string, error) {
	if s.Namespace != "" {
		return s.Namespace, nil
	}
	text, err := os.ReadFile(podNamespace)
	if err != nil {
		return "", fmt.Errorf("which namespace the operator is in is only known inside a pod; give --leader-elect-namespace: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// locate fills in what depends on the machine.
func (s Settings) locate() (Settings, error) {
	var err error
	if s.Namespace, err = s.Home(); err != nil {
		return s, fmt.Errorf("lease: %w", err)
	}
	if s.Identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return s, fmt.Errorf("name of this host; give --leader-elect-identity: %w", err)
		}
		s.Identity = host + "_" + string(uuid.NewUUID())
	}
	return s, nil
}
