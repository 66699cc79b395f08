package httpapi

import (
	"flag"
	"strings"
	"testing"
	"time"
)

func TestFlags(t *testing.T) {
	s := Settings{BindAddress: ":8444"}
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	s.BindFlags(flags)
	if !s.Serves() {
		t.Error("the flag's default is not the present value")
	}
	if err := flags.Parse([]string{
		"--http-bind-address=0", "--http-insecure", "--http-cert-dir=/certs", "--http-self-signed=localhost",
		"--http-max-timeout=3s", "--http-max-body=4", "--http-max-connections=5",
	}); err != nil {
		t.Fatal(err)
	}
	want := Settings{BindAddress: Off, Insecure: true, CertDir: "/certs", SelfSigned: "localhost", MaxTimeout: 3 * time.Second, MaxBody: 4, Connections: 5}
	if s != want || s.Serves() || s.Longest() != 0 {
		t.Errorf("settings %+v, want %+v", s, want)
	}
}

func TestComplete(t *testing.T) {
	got, err := Settings{BindAddress: ":1", CertDir: "/certs"}.Complete()
	want := Settings{BindAddress: ":1", CertDir: "/certs", MaxTimeout: DefaultMaxTimeout, MaxBody: DefaultMaxBody, Connections: DefaultConnections}
	if err != nil || got != want || got.Longest() != DefaultMaxTimeout {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	for text, s := range map[string]Settings{
		"--http-max-timeout":     {Insecure: true, MaxTimeout: -1},
		"--http-max-body":        {Insecure: true, MaxBody: -1},
		"--http-max-connections": {Insecure: true, Connections: -1},
		"--http-insecure":        {BindAddress: ":1"},
	} {
		if _, err := s.Complete(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: error %v, want one that names %s", s, err, text)
		}
	}
}
