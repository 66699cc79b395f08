// Package provider makes the clients by which the operator asks payment providers.
package provider

import (
	"fmt"
	"net/http"
	"os"

	"example.com/payment-sync/internal/runtime/outbound"
)

// NetworksVariable is the environment variable with the networks, such as 10.1.0.0/16,
// in which providers may be that are not public, separated by commas. Whoever may write
// a payment names its provider: without this nobody makes the operator ask what only
// the operator reaches.
const NetworksVariable = "PROVIDER_NETWORKS"

// Client returns a client that asks providers as s says, wherever they may be.
func Client(s outbound.Settings) (*http.Client, error) {
	networks, err := outbound.ParseNetworks(os.Getenv(NetworksVariable))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", NetworksVariable, err)
	}
	s.Networks = networks
	return outbound.HTTP(s)
}
