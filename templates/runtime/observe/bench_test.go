package observe_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tracing"
)

var expirations = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "expirations"}, []string{"operation", "expired"})

// byGoroutine is the usual way: a goroutine that waits for the end of the
// context. It counts when that ends rather than when the work does.
func byGoroutine(ctx context.Context, name string) (context.Context, func()) {
	ctx, span := otel.Tracer("test").Start(ctx, name, trace.WithAttributes(
		attribute.String("ctx.timeout", "enabled"), attribute.Bool("ctx.expired", false)))
	go func() {
		<-ctx.Done()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			expirations.WithLabelValues(name, "true").Inc()
			span.SetAttributes(attribute.Bool("ctx.expired", true))
			span.AddEvent("context timeout")
		} else {
			expirations.WithLabelValues(name, "false").Inc()
		}
	}()
	return ctx, func() { span.End() }
}

// ways are ways to do an operation that takes no time within a timeout.
var ways = []struct {
	name string
	do   func(ctx context.Context, o *observe.Operation)
}{
	{"bare", func(ctx context.Context, _ *observe.Operation) {
		_, release := context.WithTimeout(ctx, time.Minute)
		release()
	}},
	{"observed", func(ctx context.Context, o *observe.Operation) {
		ctx, release := context.WithTimeout(ctx, time.Minute)
		ctx, call := o.Begin(ctx)
		call.End(cause.Classify(ctx, nil))
		release()
	}},
	{"goroutine", func(ctx context.Context, _ *observe.Operation) {
		ctx, release := context.WithTimeout(ctx, time.Minute)
		_, end := byGoroutine(ctx, "benchmark")
		end()
		release()
	}},
}

// sampleNothing has the environment ask for traces, and for none of them.
func sampleNothing(t testing.TB) {
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	stop, err := tracing.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// modes are how an operator may be traced.
var modes = []struct {
	name  string
	start func(testing.TB)
}{
	{"off", func(testing.TB) {}},
	{"unsampled", sampleNothing},
	{"sampled", func(t testing.TB) {
		p := sdktrace.NewTracerProvider()
		lead(t, p)
		otel.SetTracerProvider(p)
		t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	}},
}

// BenchmarkOverhead runs the three ways in turn, in blocks so short that most are
// not disturbed by whatever else the machine does. It reports, for each mode, how
// the times of an operation are distributed over the blocks, in percentiles, and
// what an observation adds: by the medians of the faster half of the blocks.
func BenchmarkOverhead(b *testing.B) {
	for _, mode := range modes {
		b.Run(mode.name, func(b *testing.B) {
			mode.start(b)
			ctx := log.IntoContext(b.Context(), logr.Discard())
			o := observe.For(observe.External, "benchmark")
			times := make([][]float64, len(ways))
			for range b.N {
				for i, more := range blocks(ctx, o) {
					times[i] = append(times[i], more...)
				}
			}
			at := func(i, percent int) float64 { return times[i][len(times[i])*percent/100] }
			for i, way := range ways {
				slices.Sort(times[i])
				for _, percent := range []int{0, 1, 5, 10, 20, 25, 30, 40, 50, 60, 70, 80, 90, 95, 99} {
					b.ReportMetric(at(i, percent), fmt.Sprintf("%s-p%d-ns/op", way.name, percent))
				}
			}
			b.ReportMetric(at(1, 25)-at(0, 25), "added-ns/op")
		})
	}
}

func blocks(ctx context.Context, o *observe.Operation) [][]float64 {
	const number, operations = 300, 200
	times := make([][]float64, len(ways))
	for range number {
		for i, way := range ways {
			begin := time.Now()
			for range operations {
				way.do(ctx, o)
			}
			times[i] = append(times[i], float64(time.Since(begin).Nanoseconds())/operations)
			runtime.Gosched() // for the goroutines of the third way
		}
	}
	return times
}

// BenchmarkAllocations prints what each way allocates in each mode.
func BenchmarkAllocations(b *testing.B) {
	for _, mode := range modes {
		b.Run(mode.name, func(b *testing.B) {
			mode.start(b)
			ctx := log.IntoContext(b.Context(), logr.Discard())
			o := observe.For(observe.External, "benchmark")
			for _, way := range ways {
				b.Run(way.name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						way.do(ctx, o)
					}
				})
			}
		})
	}
}
