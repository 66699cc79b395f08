//go:build integration

package conformance

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
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

func TestAClusterThatIsThereIsNotUsed(t *testing.T) {
	touched := make(chan struct{}, 100)
	live := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { touched <- struct{}{} }))
	defer live.Close()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion":"v1","kind":"Config","current-context":"live","clusters":[{"name":"live","cluster":{"server":"` + live.URL + `"}}],` +
		`"contexts":[{"name":"live","context":{"cluster":"live"}}]}`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	t.Setenv("USE_EXISTING_CLUSTER", "true")
	server, err := start(t.TempDir())
	if err == nil {
		err = server.Stop()
	}
	if err != nil {
		t.Error(err)
	}
	if len(touched) > 0 || server.Config == nil || server.Config.Host == live.URL {
		t.Errorf("the cluster that is there was used, by %d requests", len(touched))
	}
}
