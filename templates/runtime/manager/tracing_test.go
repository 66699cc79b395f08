package manager

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

func TestTheLastSpansAreSentBeforeTheEnd(t *testing.T) {
	var received atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { received.Add(r.ContentLength) }))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	root, stop := context.WithCancel(t.Context())
	defer stop()
	r := start(root, t, Settings{}, nil)
	if err := r.Add(manager.RunnableFunc(func(ctx context.Context) error {
		_, call := observe.For(observe.External, t.Name()).Begin(ctx)
		call.End(cause.Judged(nil))
		stop()
		<-ctx.Done()
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(root); err != nil {
		t.Fatal(err)
	}
	if received.Load() == 0 {
		t.Error("the process ends before its spans are sent")
	}
}

func TestTheLastSpansHaveABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for left, want := range map[time.Duration]time.Duration{time.Minute: 2 * time.Second, time.Second: time.Second} {
			if got := flushTime(time.Now().Add(left)); got != want {
				t.Errorf("with %s left they have %s, want %s", left, got, want)
			}
		}
		if got := flushTime(time.Time{}); got != 2*time.Second {
			t.Errorf("of a process that fails they have %s", got)
		}
	})
}

func TestRunRefusesTracingItDoesNotKnow(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "pigeon")
	if err := start(t.Context(), t, Settings{}, nil).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "OTEL_TRACES_EXPORTER") {
		t.Errorf("error %v", err)
	}
}

func TestMetricsAreServedWithTheirExemplars(t *testing.T) {
	var served promhttp.HandlerOpts
	for _, set := range (Settings{}).managerOptions(nil).Metrics.HandlerOpts {
		set(&served)
	}
	if !served.EnableOpenMetrics {
		t.Error("no OpenMetrics, which alone has exemplars")
	}
}
