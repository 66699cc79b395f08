//go:build integration

package conformance

import (
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/lag"
)

// lagVariable names the environment variable that lists how late the watches of
// operators are, such as "0s,10ms,1s": each test runs once for each.
const lagVariable = "CONFORMANCE_LAG"

// usualLag is how late they are if it is not set: as late as those of a busy API
// server, and later than a write and a retry take.
const usualLag = 50 * time.Millisecond

// lags returns how late the operators' watches are to be.
func lags(t *testing.T) []time.Duration {
	t.Helper()
	text := os.Getenv(lagVariable)
	if text == "" {
		return []time.Duration{usualLag}
	}
	var all []time.Duration
	for one := range strings.SplitSeq(text, ",") {
		delay, err := time.ParseDuration(strings.TrimSpace(one))
		if err != nil {
			t.Fatalf("%s: %v", lagVariable, err)
		}
		all = append(all, delay)
	}
	return all
}

// eachLag runs f once for each of lags, with a connection to the API server whose
// watches are so late.
func eachLag(t *testing.T, config *rest.Config, f func(*testing.T, *rest.Config)) {
	for _, delay := range lags(t) {
		t.Run("lag="+delay.String(), func(t *testing.T) { f(t, behind(t, config, delay)) })
	}
}

// behind returns a connection to the API server of config on which every watch is
// late by delay.
func behind(t *testing.T, config *rest.Config, delay time.Duration) *rest.Config {
	t.Helper()
	p, err := lag.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.Delay(delay)
	return p.Config()
}
