// Package tracing sends spans to where the standard variables of OpenTelemetry
// say. With none of them set there is no tracer, and nothing is spent on spans.
//
// Read here are OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER (otlp or none),
// OTEL_TRACES_SAMPLER and its _ARG, OTEL_EXPORTER_OTLP_ENDPOINT,
// OTEL_EXPORTER_OTLP_PROTOCOL (grpc or http/protobuf), and the latter two for
// traces alone, with TRACES in their name. The libraries read the rest:
// OTEL_PROPAGATORS, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_* and
// what else begins with OTEL_EXPORTER_OTLP_.
package tracing
