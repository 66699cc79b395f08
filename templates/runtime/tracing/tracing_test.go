package tracing_test

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tracing"
)

// receiver takes what the exporter sends.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	mu       sync.Mutex
	spans    []*tracepb.Span
	services []string
}

func (r *receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		r.services = append(r.services, value(resource.GetResource().GetAttributes(), "service.name"))
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP is Export for http/protobuf.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var body io.Reader = req.Body
	if req.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(req.Body)
	}
	data, _ := io.ReadAll(body)
	request := &collector.ExportTraceServiceRequest{}
	if err := proto.Unmarshal(data, request); err != nil || req.URL.Path != "/v1/traces" {
		http.Error(w, "not a trace", http.StatusBadRequest)
		return
	}
	answer, _ := r.Export(req.Context(), request)
	data, _ = proto.Marshal(answer)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(data)
}

// find returns the spans of a name, in the order in which they began.
func (r *receiver) find(name string) []*tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*tracepb.Span
	for _, s := range r.spans {
		if s.GetName() == name {
			found = append(found, s)
		}
	}
	return found
}

func value(attributes []*common.KeyValue, k string) string {
	for _, a := range attributes {
		if a.GetKey() == k {
			switch v := a.GetValue().GetValue().(type) {
			case *common.AnyValue_StringValue:
				return v.StringValue
			case *common.AnyValue_BoolValue:
				if v.BoolValue {
					return "true"
				}
				return "false"
			}
		}
	}
	return ""
}

// listen starts a receiver for a protocol and has the environment name it.
func listen(t *testing.T, protocol string) *receiver {
	t.Helper()
	r := &receiver{}
	var url string
	switch protocol {
	case "grpc":
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		collector.RegisterTraceServiceServer(server, r)
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(server.Stop)
		url = "http://" + listener.Addr().String()
	default:
		server := httptest.NewServer(r)
		t.Cleanup(server.Close)
		url = server.URL
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
	t.Setenv("OTEL_SERVICE_NAME", "shop-operator")
	return r
}

// TestSpansArriveByOTLP sends what two passes of one object come to, the first of
// which makes a call that takes too long, by the real exporter.
func TestSpansArriveByOTLP(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			received := listen(t, protocol)
			stop, err := tracing.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			limit := budget.Operation{Name: "bank", Timeout: 20 * time.Millisecond}
			calls := 0
			pass := chain.Observed(observe.Reconcile, "payment")(func(ctx context.Context, _ reconcile.Request) error {
				if calls++; calls > 1 {
					return nil
				}
				return limit.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			})
			req := reconcile.Request{}
			req.Namespace, req.Name = "shop", "p"
			if err := pass(t.Context(), req); err == nil {
				t.Fatal("a call that takes too long succeeds")
			}
			if err := pass(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if err := stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, received)
		})
	}
}

func check(t *testing.T, received *receiver) {
	t.Helper()
	passes, calls := received.find("reconcile payment"), received.find("call bank")
	if len(passes) != 2 || len(calls) != 1 {
		t.Fatalf("%d spans of passes and %d of calls have arrived, want 2 and 1", len(passes), len(calls))
	}
	first, second, call := passes[0], passes[1], calls[0]
	if string(call.GetParentSpanId()) != string(first.GetSpanId()) || len(first.GetParentSpanId()) != 0 {
		t.Error("the call is not a child of the pass, which has no parent")
	}
	if links := second.GetLinks(); len(links) != 1 || string(links[0].GetSpanId()) != string(first.GetSpanId()) ||
		value(links[0].GetAttributes(), observe.KeyLink) != "previous attempt" {
		t.Errorf("the second pass has links %v, want one to the first", links)
	}
	for k, want := range map[string]string{observe.KeyCause: "operation_deadline", observe.KeyExpired: "true", observe.KeyOutcome: "operation_deadline"} {
		if got := value(call.GetAttributes(), k); got != want {
			t.Errorf("attribute %s of the call is %q, want %q", k, got, want)
		}
	}
	deadline, err := time.Parse(time.RFC3339Nano, value(call.GetAttributes(), observe.KeyDeadline))
	if err != nil {
		t.Errorf("the deadline of the call: %v", err)
	}
	if e := call.GetEvents(); len(e) != 1 || e[0].GetName() != observe.EventEnded || e[0].GetTimeUnixNano() != uint64(deadline.UnixNano()) {
		t.Errorf("the call has events %v, want one at %s", e, deadline)
	}
	if call.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR || second.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Errorf("the states are %v and %v", call.GetStatus(), second.GetStatus())
	}
	if received.services[0] != "shop-operator" {
		t.Errorf("the spans come from %q", received.services[0])
	}
}

func TestWhatIsNotNamedHasTheNameOfItsProgram(t *testing.T) {
	received := listen(t, "http/protobuf")
	if err := os.Unsetenv("OTEL_SERVICE_NAME"); err != nil { // listen sets it, and back
		t.Fatal(err)
	}
	stop, err := tracing.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, call := observe.For(observe.External, "bank").Begin(t.Context())
	call.End(cause.Judged(nil))
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Base(os.Args[0])}; !slices.Equal(received.services, want) {
		t.Errorf("the spans come from %q, want %q", received.services, want)
	}
}

func TestNothingIsTracedUnlessAskedFor(t *testing.T) {
	for name, environment := range map[string]map[string]string{
		"nothing set":   {},
		"disabled":      {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
		"none":          {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
		"not even read": {"OTEL_TRACES_SAMPLER": "always_on"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range environment {
				t.Setenv(k, v)
			}
			stop, err := tracing.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stop(t.Context()) }()
			_, call := observe.For(observe.External, "bank").Begin(t.Context())
			defer call.End(cause.Judged(nil))
			if call.Recording() {
				t.Error("a span is recorded")
			}
		})
	}
}

func TestTheSamplerIsTheEnvironments(t *testing.T) {
	received := listen(t, "http/protobuf")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	stop, err := tracing.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, call := observe.For(observe.External, "bank").Begin(t.Context())
	call.End(cause.Judged(nil))
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(received.find("call bank")); n != 0 {
		t.Errorf("%d spans have arrived", n)
	}
}

func TestThePropagatorIsTheEnvironments(t *testing.T) {
	for propagators, header := range map[string]string{"": "traceparent", "b3": "b3"} {
		listen(t, "http/protobuf")
		t.Setenv("OTEL_PROPAGATORS", propagators)
		stop, err := tracing.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		member, err := baggage.NewMember("user", "somebody")
		if err != nil {
			t.Fatal(err)
		}
		carried, err := baggage.New(member)
		if err != nil {
			t.Fatal(err)
		}
		ctx, call := observe.For(observe.External, "bank").Begin(baggage.ContextWithBaggage(t.Context(), carried))
		carrier := propagation.MapCarrier{}
		otel.GetTextMapPropagator().Inject(ctx, carrier)
		call.End(cause.Judged(nil))
		if err := stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if carrier[header] == "" || carrier["baggage"] != "" {
			t.Errorf("with OTEL_PROPAGATORS %q, %s, and no baggage, is not what is in %v", propagators, header, carrier)
		}
	}
}

func TestUnknownValuesAreRefusedByName(t *testing.T) {
	for _, test := range []struct{ variable, value string }{
		{"OTEL_TRACES_EXPORTER", "pigeon"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon"},
		{"OTEL_TRACES_SAMPLER", "pigeon"},
		{"OTEL_TRACES_SAMPLER_ARG", "five"},
		{"OTEL_TRACES_SAMPLER_ARG", "NaN"},
		{"OTEL_TRACES_SAMPLER_ARG", "1.01"},
		{"OTEL_TRACES_SAMPLER_ARG", "-0.01"},
	} {
		t.Run(test.variable+" "+test.value, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
			t.Setenv(test.variable, test.value)
			_, err := tracing.Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.variable) || !strings.Contains(err.Error(), test.value) {
				t.Errorf("Start() = %v, want an error with the variable and its value", err)
			}
		})
	}
}

func TestTheEndDoesNotWaitForACollector(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	stop, err := tracing.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, call := observe.For(observe.External, "bank").Begin(t.Context())
	call.End(cause.Judged(nil))
	ctx, release := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer release()
	begun := time.Now()
	_ = stop(ctx)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it waits for %s", took)
	}
}
