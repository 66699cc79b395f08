//go:build integration

package conformance

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestStartLeavesNothingBehindWhenItFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	server, err := start(missing)
	if err == nil || !strings.Contains(err.Error(), missing) {
		t.Fatalf("start() = %v, want an error that names %s", err, missing)
	}
	if server.Config == nil {
		t.Fatalf("the API server did not start: %v", err)
	}
	address, err := url.Parse(server.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address.Host); err == nil {
		_ = c.Close()
		t.Error("the API server still runs")
	}
}
