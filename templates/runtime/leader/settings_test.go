package leader

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

func TestTimesFollowFromTheLeaseDuration(t *testing.T) {
	tests := map[string]struct{ given, want Settings }{
		"nothing": {
			Settings{Name: "l"},
			Settings{Name: "l", LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second, Margin: 1500 * time.Millisecond},
		},
		"a minute": {
			Settings{Name: "l", LeaseDuration: time.Minute},
			Settings{Name: "l", LeaseDuration: time.Minute, RenewDeadline: 40 * time.Second, RetryPeriod: 8 * time.Second, Margin: 6 * time.Second},
		},
		"all given": {
			Settings{Name: "l", LeaseDuration: 5 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: time.Second, Margin: time.Second},
			Settings{Name: "l", LeaseDuration: 5 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: time.Second, Margin: time.Second},
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
		})
	}
}

func TestUnsafeSettingsAreRefusedWithTheReason(t *testing.T) {
	tests := map[string]struct {
		settings Settings
		want     []string
	}{
		"nameless":   {Settings{}, []string{"name of its lease"}},
		"negative":   {Settings{Name: "l", Margin: -1}, []string{"--leader-elect-margin -1ns is negative"}},
		"fractional": {Settings{Name: "l", LeaseDuration: 2500 * time.Millisecond}, []string{"--leader-elect-lease-duration 2.5s", "take over after 2s"}},
		"renewing beyond the lease": {
			Settings{Name: "l", LeaseDuration: 5 * time.Second, RenewDeadline: 5 * time.Second},
			[]string{"--leader-elect-renew-deadline 5s", "--leader-elect-lease-duration 5s", "others may take over"},
		},
		"no second try": {
			Settings{Name: "l", RetryPeriod: 9 * time.Second},
			[]string{"--leader-elect-retry-period", "would not be tried again"},
		},
		"margin larger than what is left": {
			Settings{Name: "l", Margin: 5 * time.Second},
			[]string{"--leader-elect-margin 5s", "still trying to renew", "lower the margin"},
		},
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

func TestEverySettingHasAFlag(t *testing.T) {
	settings := Settings{Name: "l"}
	flags := flag.NewFlagSet("operator", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	settings.BindFlags(flags)
	err := flags.Parse([]string{
		"--leader-elect-namespace=n", "--leader-elect-identity=i", "--leader-elect-lease-duration=9s",
		"--leader-elect-renew-deadline=6s", "--leader-elect-retry-period=1s", "--leader-elect-margin=2s", "--leader-elect-server-fence",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Name: "l", Namespace: "n", Identity: "i", LeaseDuration: 9 * time.Second, RenewDeadline: 6 * time.Second,
		RetryPeriod: time.Second, Margin: 2 * time.Second, ServerFence: true,
	}
	if diff := cmp.Diff(want, settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestNewSaysWhatItCannotFindOut(t *testing.T) {
	cfg := &rest.Config{Host: "http://127.0.0.1:1"}
	if _, err := New(t.Context(), cfg, Settings{Name: "l"}); err == nil || !strings.Contains(err.Error(), "--leader-elect-namespace") {
		t.Errorf("error %v", err)
	}
	if _, err := New(t.Context(), cfg, Settings{Name: "l", Margin: time.Hour}); err == nil || !strings.Contains(err.Error(), "--leader-elect-margin") {
		t.Errorf("error %v", err)
	}
	one, err := New(t.Context(), cfg, Settings{Name: "l", Namespace: "n"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := New(t.Context(), cfg, Settings{Name: "l", Namespace: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if one.settings.Identity == "" || one.settings.Identity == two.settings.Identity {
		t.Errorf("identities %q and %q", one.settings.Identity, two.settings.Identity)
	}
}
