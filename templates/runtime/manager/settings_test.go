package manager_test

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpapi"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
)

func TestEverythingFollowsFromTheReconcileTimeout(t *testing.T) {
	tests := map[string]struct {
		given manager.Settings
		want  manager.Settings
	}{
		"nothing": {
			manager.Settings{},
			manager.Settings{ReconcileTimeout: 20 * time.Second, StatusReserve: 5 * time.Second, ShutdownTimeout: 25 * time.Second, PodGrace: 30 * time.Second},
		},
		"two minutes": {
			manager.Settings{ReconcileTimeout: 2 * time.Minute},
			manager.Settings{ReconcileTimeout: 2 * time.Minute, StatusReserve: 5 * time.Second, ShutdownTimeout: 125 * time.Second, PodGrace: 130 * time.Second},
		},
		"short and draining": {
			manager.Settings{ReconcileTimeout: 2 * time.Second, DrainDelay: 1500 * time.Millisecond},
			manager.Settings{
				ReconcileTimeout: 2 * time.Second, StatusReserve: 500 * time.Millisecond, DrainDelay: 1500 * time.Millisecond,
				ShutdownTimeout: 8500 * time.Millisecond, PodGrace: 14 * time.Second,
			},
		},
		"a lease": {
			manager.Settings{LeaderElection: true, LeaderElectionID: "l"},
			manager.Settings{
				ReconcileTimeout: 20 * time.Second, StatusReserve: 5 * time.Second, ShutdownTimeout: 25 * time.Second, PodGrace: 30 * time.Second,
				LeaderElection: true, LeaderElectionID: "l",
				Leader: leader.Settings{Name: "l", LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second, Margin: 1500 * time.Millisecond},
			},
		},
		"webhooks": {
			manager.Settings{ReconcileTimeout: 4 * time.Second, DrainDelay: 2 * time.Second, Webhook: admission.Settings{BindAddress: ":9443", CertDir: "/certs", MaxTimeout: 7 * time.Second}},
			manager.Settings{
				ReconcileTimeout: 4 * time.Second, StatusReserve: time.Second, DrainDelay: 2 * time.Second, ShutdownTimeout: 14 * time.Second, PodGrace: 19 * time.Second,
				Webhook: admission.Settings{BindAddress: ":9443", CertDir: "/certs", MaxTimeout: 7 * time.Second, ConversionTimeout: 5 * time.Second},
			},
		},
		"webhooks that are not served": {
			manager.Settings{ReconcileTimeout: 4 * time.Second, Webhook: admission.Settings{MaxTimeout: 7 * time.Second}},
			manager.Settings{
				ReconcileTimeout: 4 * time.Second, StatusReserve: time.Second, ShutdownTimeout: 9 * time.Second, PodGrace: 14 * time.Second,
				Webhook: admission.Settings{MaxTimeout: 7 * time.Second},
			},
		},
		"an HTTP API": {
			manager.Settings{ReconcileTimeout: 4 * time.Second, DrainDelay: 2 * time.Second, HTTP: httpapi.Settings{BindAddress: ":8444", CertDir: "/certs", MaxTimeout: 7 * time.Second}},
			manager.Settings{
				ReconcileTimeout: 4 * time.Second, StatusReserve: time.Second, DrainDelay: 2 * time.Second, ShutdownTimeout: 14 * time.Second, PodGrace: 19 * time.Second,
				HTTP: httpapi.Settings{BindAddress: ":8444", CertDir: "/certs", MaxTimeout: 7 * time.Second, MaxBody: httpapi.DefaultMaxBody, Connections: httpapi.DefaultConnections},
			},
		},
		"all given": {
			manager.Settings{ReconcileTimeout: time.Second, StatusReserve: 100 * time.Millisecond, DrainDelay: time.Second, ShutdownTimeout: 3 * time.Second, PodGrace: 4 * time.Second},
			manager.Settings{ReconcileTimeout: time.Second, StatusReserve: 100 * time.Millisecond, DrainDelay: time.Second, ShutdownTimeout: 3 * time.Second, PodGrace: 4 * time.Second},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := test.given.Complete()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if again, err := got.Complete(); err != nil || again != got {
				t.Errorf("completed again: %+v, %v", again, err)
			}
			if want := (budget.Reconcile{Total: got.ReconcileTimeout, Reserve: got.StatusReserve}); got.Budget() != want {
				t.Errorf("budget %+v", got.Budget())
			}
		})
	}
}

func TestContradictionsAreRefusedWithAReason(t *testing.T) {
	tests := map[string]struct {
		settings manager.Settings
		want     []string
	}{
		"negative": {manager.Settings{DrainDelay: -time.Second}, []string{"--drain-delay -1s is negative"}},
		"reserve eats the timeout": {
			manager.Settings{ReconcileTimeout: time.Second, StatusReserve: time.Second}, []string{"leaves nothing", "--status-reserve"},
		},
		"reconcile outlasts the shutdown": {
			manager.Settings{ReconcileTimeout: time.Minute, ShutdownTimeout: time.Minute},
			[]string{"--reconcile-timeout 1m0s", "--shutdown-timeout 1m0s", "raise --shutdown-timeout"},
		},
		"draining leaves too little": {
			manager.Settings{ReconcileTimeout: time.Minute, DrainDelay: 5 * time.Second, ShutdownTimeout: 62 * time.Second},
			[]string{"--drain-delay 5s", "raise --shutdown-timeout"},
		},
		"pod killed before": {
			manager.Settings{ReconcileTimeout: time.Minute, PodGrace: 30 * time.Second},
			[]string{"--shutdown-timeout 1m5s", "grace period of 30s", "raise terminationGracePeriodSeconds"},
		},
		"webhook outlasts the shutdown": {
			manager.Settings{ReconcileTimeout: time.Second, ShutdownTimeout: 10 * time.Second, Webhook: admission.Settings{BindAddress: ":9443"}},
			[]string{"--webhook-max-timeout or --webhook-conversion-timeout 10s", "--shutdown-timeout 10s", "raise --shutdown-timeout"},
		},
		"an answer outlasts the shutdown": {
			manager.Settings{ReconcileTimeout: time.Second, ShutdownTimeout: 10 * time.Second, HTTP: httpapi.Settings{BindAddress: ":8444", Insecure: true, MaxTimeout: 10 * time.Second}},
			[]string{"--http-max-timeout 10s", "--shutdown-timeout 10s", "raise --shutdown-timeout"},
		},
		"an HTTP API without a certificate": {
			manager.Settings{HTTP: httpapi.Settings{BindAddress: ":8444"}},
			[]string{"--http-cert-dir", "--http-insecure"},
		},
		"webhook without time": {
			manager.Settings{Webhook: admission.Settings{BindAddress: ":9443", MaxTimeout: -time.Second}},
			[]string{"--webhook-max-timeout -1s"},
		},
		"fractional grace": {manager.Settings{PodGrace: 30*time.Second + time.Millisecond}, []string{"whole seconds"}},
		"nameless lease":   {manager.Settings{LeaderElection: true}, []string{"name of its lease"}},
		"unsafe lease":     {manager.Settings{LeaderElection: true, LeaderElectionID: "l", Leader: leader.Settings{LeaseDuration: time.Minute, RenewDeadline: time.Minute}}, []string{"--leader-elect-renew-deadline"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := test.settings.Complete()
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
		})
	}
}

func TestEveryDurationHasAFlag(t *testing.T) {
	settings := manager.Settings{MetricsBindAddress: ":8443"}
	flags := flag.NewFlagSet("operator", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	settings.BindFlags(flags)
	err := flags.Parse([]string{
		"--reconcile-timeout=1m", "--status-reserve=2s", "--drain-delay=3s", "--shutdown-timeout=70s", "--pod-grace=80s",
		"--metrics-secure", "--health-probe-bind-address=:8081", "--leader-elect", "--leader-elect-namespace=system",
		"--webhook-bind-address=:9443",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := manager.Settings{
		ReconcileTimeout: time.Minute, StatusReserve: 2 * time.Second, DrainDelay: 3 * time.Second,
		ShutdownTimeout: 70 * time.Second, PodGrace: 80 * time.Second,
		MetricsBindAddress: ":8443", MetricsSecure: true, ProbeBindAddress: ":8081",
		LeaderElection: true, Leader: leader.Settings{Namespace: "system"},
		Webhook: admission.Settings{BindAddress: ":9443"},
	}
	if diff := cmp.Diff(want, settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}
