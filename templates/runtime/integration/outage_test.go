//go:build integration

package integration_test

import (
	"context"
	"testing"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
)

// A reflector whose API server refuses connections sleeps for up to half a
// minute without looking at its context. The shutdown must not wait for it.
func TestShutdownDuringAnOutage(t *testing.T) {
	var n network
	w := create(t, &widget{})
	seen := make(chan struct{}, 100)
	o := run(t, n.config(), manager.Settings{}, user(func(_ context.Context, o *widget) error {
		if o.Name == w.Name {
			seen <- struct{}{}
		}
		return nil
	}))
	<-seen
	n.refuse.Store(true)
	n.cut(t)
	time.Sleep(8 * time.Second) // for the reflector's backoff to grow
	took, err := o.end()
	t.Logf("shutdown after 8s of outage took %s", took)
	if err != nil {
		t.Errorf("Run returned %v", err)
	}
	if took > 3*time.Second {
		t.Errorf("shutdown took %s", took)
	}
}
