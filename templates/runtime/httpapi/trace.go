package httpapi

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
)

// tracing says what becomes of the traces that callers are in. A stranger's is linked
// and not gone on with, so that strangers do not decide what is recorded, and their
// baggage is left behind, so that it does not go on to other services.
func (s *Server) tracing() []otelhttp.Option {
	if s.settings.TrustTraces {
		return nil
	}
	return []otelhttp.Option{
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }),
		otelhttp.WithPropagators(withoutBaggage{}),
	}
}

// withoutBaggage is the process's propagator, which takes in no baggage.
type withoutBaggage struct{}

// Extract implements propagation.TextMapPropagator.
func (withoutBaggage) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	return baggage.ContextWithoutBaggage(otel.GetTextMapPropagator().Extract(ctx, carrier))
}

// Inject implements propagation.TextMapPropagator.
func (withoutBaggage) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	otel.GetTextMapPropagator().Inject(ctx, carrier)
}

// Fields implements propagation.TextMapPropagator.
func (withoutBaggage) Fields() []string { return otel.GetTextMapPropagator().Fields() }
