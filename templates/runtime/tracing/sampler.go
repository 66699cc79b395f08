package tracing

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// newSampler returns the sampler that the environment asks for. The SDK reads the
// same variables, but keeps its sampler to itself.
func newSampler() (sdktrace.Sampler, error) {
	const variable = "OTEL_TRACES_SAMPLER"
	name := strings.ToLower(strings.TrimSpace(os.Getenv(variable)))
	switch name {
	case "always_on":
		return sdktrace.AlwaysSample(), nil
	case "always_off":
		return sdktrace.NeverSample(), nil
	case "traceidratio":
		return newRatio()
	case "", "parentbased_always_on":
		return sdktrace.ParentBased(sdktrace.AlwaysSample()), nil
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample()), nil
	case "parentbased_traceidratio":
		ratio, err := newRatio()
		if err != nil {
			return nil, err
		}
		return sdktrace.ParentBased(ratio), nil
	default:
		return nil, fmt.Errorf("%s is %q; it may be always_on, always_off, traceidratio, or one of these after parentbased_", variable, name)
	}
}

// newRatio returns the sampler of a share of all traces, by default of all.
func newRatio() (sdktrace.Sampler, error) {
	const variable = "OTEL_TRACES_SAMPLER_ARG"
	text := strings.TrimSpace(os.Getenv(variable))
	if text == "" {
		return sdktrace.TraceIDRatioBased(1), nil
	}
	ratio, err := strconv.ParseFloat(text, 64)
	if err == nil && ratio >= 0 && ratio <= 1 {
		return sdktrace.TraceIDRatioBased(ratio), nil
	}
	return nil, fmt.Errorf("%s is %q; it may be a number from 0 to 1", variable, text)
}
