package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// Start sets the process's tracer and propagator, if the environment asks for
// them. Whoever traces, by package observe or by OpenTelemetry's own, is traced
// from then on. The returned function sends what has been recorded, for as long as
// its context lasts, and takes the tracer back; it never is nil. Start fails if a
// variable has a value that it does not know.
func Start(ctx context.Context) (stop func(context.Context) error, err error) {
	nothing := func(context.Context) error { return nil }
	exporter, err := newExporter(ctx)
	if err != nil {
		return nothing, fmt.Errorf("tracing: %w", err)
	}
	if exporter == nil {
		return nothing, nil
	}
	sampler, err := newSampler()
	if err != nil {
		return nothing, fmt.Errorf("tracing: %w", errors.Join(err, exporter.Shutdown(ctx)))
	}
	logger := log.FromContext(ctx).WithName("tracing")
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Error(err, "Spans are lost or a setting is ignored") }))
	provider := newProvider(sampler, sdktrace.WithBatcher(exporter), sdktrace.WithResource(describe(ctx)))
	otel.SetTracerProvider(provider.TracerProvider)
	otel.SetTextMapPropagator(autoprop.NewTextMapPropagator(propagation.TraceContext{}))
	observe.TraceBy(provider)
	return func(ctx context.Context) error {
		observe.TraceBy(nil)
		otel.SetTracerProvider(noop.NewTracerProvider())
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator())
		return provider.Shutdown(ctx)
	}, nil
}

// newExporter returns the exporter that the environment asks for, nil if none.
func newExporter(ctx context.Context) (*otlptrace.Exporter, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	switch name := os.Getenv("OTEL_TRACES_EXPORTER"); name {
	case "none":
		return nil, nil
	case "otlp":
	case "":
		if endpoint == "" {
			return nil, nil
		}
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER is %q; it may be otlp or none", name)
	}
	switch protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")); protocol {
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; it may be http/protobuf or grpc", protocol)
	}
}

// describe says what sends the spans: by default the program's name. Attributes
// that could not be found out are left out.
func describe(ctx context.Context) *resource.Resource {
	name := resource.NewSchemaless(attribute.String("service.name", filepath.Base(os.Args[0])))
	found, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		otel.Handle(err)
	}
	merged, err := resource.Merge(name, found)
	if err != nil {
		otel.Handle(err)
	}
	return merged
}
