package admission

import (
	"fmt"
	"net/http"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
)

// timeoutParameter is how the API server announces the time it will wait.
const timeoutParameter = "timeout"

// margin is what is kept of an announced time. The API server rounds up to
// whole seconds what it has left, so that an announcement may be almost a second
// too long; but a half of the announced time is always used.
var margin = httpx.Margin{Least: 500 * time.Millisecond, Share: 0.1}

// announced reads the API server's timeout.
func announced(r *http.Request) ([]httpx.Announcement, error) {
	value := r.URL.Query().Get(timeoutParameter)
	if value == "" {
		return nil, nil
	}
	wait, err := time.ParseDuration(value)
	if err != nil {
		return nil, fmt.Errorf("parameter %s: %w", timeoutParameter, err)
	}
	return []httpx.Announcement{{Name: timeoutParameter, Wait: wait}}, nil
}
