package provider

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"example.com/payment-sync/internal/runtime/budget"
	"example.com/payment-sync/internal/runtime/outbound"
)

func TestAProviderInsideIsAskedOnlyWhereThatIsAllowed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ask := func() error {
		client, err := Client(outbound.Settings{Call: budget.Operation{Name: "ask"}})
		if err != nil {
			return err
		}
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	t.Setenv(NetworksVariable, "")
	if err := ask(); !errors.Is(err, outbound.ErrNotAllowed) {
		t.Errorf("without a network: %v", err)
	}
	t.Setenv(NetworksVariable, "127.0.0.0/8")
	if err := ask(); err != nil {
		t.Errorf("in a network that is allowed: %v", err)
	}
	t.Setenv(NetworksVariable, "inside")
	if err := ask(); err == nil || errors.Is(err, outbound.ErrNotAllowed) {
		t.Errorf("with a network that is none: %v", err)
	}
}
