package admission

import (
	"flag"
	"strings"
	"testing"
	"time"
)

func TestSettingsAreCompleted(t *testing.T) {
	s, err := Settings{}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if s.Serves() || s.MaxTimeout != DefaultTimeout || s.ConversionTimeout != DefaultConversionTimeout || s.CertDir == "" || s.Longest() != DefaultTimeout {
		t.Errorf("completed %+v", s)
	}
	for _, c := range []struct {
		settings Settings
		want     string
	}{
		{Settings{MaxTimeout: time.Millisecond}, "--webhook-max-timeout 1ms"},
		{Settings{MaxTimeout: -time.Second}, "--webhook-max-timeout -1s"},
		{Settings{ConversionTimeout: -time.Second}, "--webhook-conversion-timeout -1s"},
	} {
		if _, err := c.settings.Complete(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %s", c.settings, err, c.want)
		}
	}
}

func TestFlagsSetTheSettings(t *testing.T) {
	s := Settings{BindAddress: ":9443"}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	s.BindFlags(flags)
	if !s.Serves() {
		t.Error("the flag's default is not the present value")
	}
	if err := flags.Parse([]string{
		"--webhook-bind-address=0", "--webhook-cert-dir=/certs", "--webhook-self-signed=127.0.0.1, localhost", "--webhook-http2",
		"--webhook-max-timeout=3s", "--webhook-conversion-timeout=4s",
	}); err != nil {
		t.Fatal(err)
	}
	want := Settings{BindAddress: Off, CertDir: "/certs", SelfSigned: "127.0.0.1, localhost", HTTP2: true, MaxTimeout: 3 * time.Second, ConversionTimeout: 4 * time.Second}
	if s != want || s.Serves() {
		t.Errorf("settings %+v, want %+v", s, want)
	}
}
