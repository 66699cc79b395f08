package access

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/freshness"
)

// What a tenant's work writes is read back through the manager's cache.
func TestConfinedWritesAreNotedWhereTheCacheIsRead(t *testing.T) {
	var keep freshness.Keep
	var bare struct{ client.Client }
	written, ok := noted(&bare, freshness.NewClient(&bare, &keep)).(*freshness.Client)
	if !ok || written.Keep() != &keep {
		t.Error("writes of the confined client are not noted")
	}
	if got := noted(&bare, &bare); got != client.Client(&bare) {
		t.Errorf("%T where nobody notes anything", got)
	}
}
