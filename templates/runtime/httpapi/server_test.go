package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
)

// open are settings of a server for everybody, with ten bytes of body.
var open = Settings{Insecure: true, MaxTimeout: 3 * time.Second, MaxBody: 10}

func ask(ctx context.Context, s *Server, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	return w
}

func expect(t *testing.T, w *httptest.ResponseRecorder, code int, texts ...string) {
	t.Helper()
	if w.Code != code {
		t.Errorf("status %d, want %d: %s", w.Code, code, w.Body)
	}
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("answer %q does not contain %q", w.Body, text)
		}
	}
}

// never is a server with a route that waits for the end of its context, and says
// why that ended.
func never(t *testing.T, why *error) *Server {
	t.Helper()
	s := New(open, Options{})
	if err := s.Handle("GET /never", "", Answer(func(r *http.Request) (int, any, error) {
		<-r.Context().Done()
		*why = context.Cause(r.Context())
		return 0, nil, r.Context().Err()
	})); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheTimeIsWhatTheCallerAnnounces(t *testing.T) {
	for _, c := range []struct {
		header []string
		took   time.Duration
		text   string
	}{
		{nil, 3 * time.Second, "3s (--http-max-timeout)"},
		{[]string{httpx.GRPCTimeout, "1S"}, 800 * time.Millisecond, "grpc-timeout 1s less 200ms"},
		{[]string{httpx.EnvoyTimeout, "2500"}, 2250 * time.Millisecond, "x-envoy-expected-rq-timeout-ms 2.5s less 250ms"},
		{[]string{httpx.GRPCTimeout, "1H"}, 3 * time.Second, "--http-max-timeout"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var why error
			begin := time.Now()
			w := ask(t.Context(), never(t, &why), http.MethodGet, "/never", "", c.header...)
			expect(t, w, http.StatusGatewayTimeout, c.text, `"cause":"request_deadline"`)
			if took := time.Since(begin); took != c.took || !errors.Is(why, httpx.RequestDeadline) {
				t.Errorf("%v: after %s by %v", c.header, took, why)
			}
		})
	}
}

func TestACallerThatHangsUpCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		var why error
		ask(caller, never(t, &why), http.MethodGet, "/never", "")
		if !errors.Is(why, cause.ClientGone) {
			t.Errorf("cause %v", why)
		}
	})
}

func TestWhoMayAsk(t *testing.T) {
	refuse := func(*http.Request) *httpx.Failure {
		return &httpx.Failure{Code: http.StatusUnauthorized, Err: errors.New("who are you?")}
	}
	for what, c := range map[string]struct {
		settings Settings
		admit    func(*http.Request) *httpx.Failure
		code     int
	}{
		"refused":   {Settings{MaxTimeout: time.Second}, refuse, http.StatusUnauthorized},
		"admitted":  {Settings{MaxTimeout: time.Second}, func(*http.Request) *httpx.Failure { return nil }, http.StatusNoContent},
		"everybody": {open, refuse, http.StatusNoContent},
		"nobody":    {Settings{MaxTimeout: time.Second}, nil, http.StatusServiceUnavailable},
	} {
		s := New(c.settings, Options{Admit: c.admit})
		if err := s.Handle("GET /route", "", Answer(func(*http.Request) (int, any, error) { return http.StatusNoContent, nil, nil })); err != nil {
			t.Fatal(err)
		}
		w := ask(t.Context(), s, http.MethodGet, "/route", "")
		expect(t, w, c.code)
		if (c.code == http.StatusUnauthorized) != (w.Header().Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%s: header %v", what, w.Header())
		}
		expect(t, ask(t.Context(), s, http.MethodGet, HealthPath, ""), http.StatusNoContent)
		expect(t, ask(t.Context(), s, http.MethodGet, DocumentPath, ""), http.StatusOK)
	}
}

func TestTheModesStandAroundEveryRoute(t *testing.T) {
	var why error
	s := never(t, &why)
	s.options.Modes = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	}
	expect(t, ask(t.Context(), s, http.MethodGet, "/never", ""), http.StatusTeapot)
}

func TestBodiesAreLimited(t *testing.T) {
	var why error
	expect(t, ask(t.Context(), never(t, &why), http.MethodGet, "/never", "eleven bytes"), http.StatusRequestEntityTooLarge, "10 bytes")
}

func TestPathsThatAreOpenByDefaultAreRefused(t *testing.T) {
	s := New(open, Options{})
	for _, path := range []string{"/api/x", "/apis/own", "/version", "/openapi/v9", "/healthz/x"} {
		if err := s.Handle("GET "+path, "", http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "system:discovery") {
			t.Errorf("%s: error %v", path, err)
		}
	}
}

func TestTheDescriptionHasEveryRoute(t *testing.T) {
	s := New(open, Options{})
	if err := s.Document([]byte(`{"openapi":"3.0.3","paths":{"/a":{"get":{}}}}`)); err != nil {
		t.Fatal(err)
	}
	for pattern, description := range map[string]string{"POST /a": `{"x":1}`, "PUT /b/{c}": `{"x":2}`, "GET /silent": ""} {
		if err := s.Handle(pattern, description, http.NotFoundHandler()); err != nil {
			t.Fatal(err)
		}
	}
	w := ask(t.Context(), s, http.MethodGet, DocumentPath, "")
	var whole struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &whole); err != nil {
		t.Fatal(err)
	}
	if len(whole.Paths) != 2 || len(whole.Paths["/a"]) != 2 || whole.Paths["/b/{c}"]["put"] == nil {
		t.Errorf("paths %v", whole.Paths)
	}
	if s.Handle("/x", "{}", http.NotFoundHandler()) == nil || s.Handle("GET /x", "{", http.NotFoundHandler()) == nil || s.Document([]byte("{")) == nil {
		t.Error("a description that is none was taken")
	}
}

func TestTheSpanIsNamedAfterTheRoute(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	defer otel.SetTracerProvider(before)
	s := New(open, Options{})
	const route = "/payments/{name}"
	if err := s.Handle("GET "+route, "", Answer(func(*http.Request) (int, any, error) { return http.StatusNoContent, nil, nil })); err != nil {
		t.Fatal(err)
	}
	expect(t, ask(t.Context(), s, http.MethodGet, "/payments/rent", ""), http.StatusNoContent)
	span, named := spans.Ended()[0], ""
	for _, a := range span.Attributes() {
		if a.Key == "http.route" {
			named = a.Value.AsString()
		}
	}
	if span.Name() != "GET "+route || named != route {
		t.Errorf("span %q with route %q", span.Name(), named)
	}
}

func TestAStrangersTraceIsLinkedAndItsBaggageLeftBehind(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider, propagator := otel.GetTracerProvider(), otel.GetTextMapPropagator()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample()))))
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	defer func() {
		otel.SetTracerProvider(provider)
		otel.SetTextMapPropagator(propagator)
	}()
	const stranger = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, trusted := range []bool{false, true} {
		spans.Reset()
		settings := open
		settings.TrustTraces = trusted
		s := New(settings, Options{})
		var handed string
		if err := s.Handle("GET /x", "", Answer(func(r *http.Request) (int, any, error) {
			carrier := propagation.MapCarrier{}
			otel.GetTextMapPropagator().Inject(r.Context(), carrier)
			handed = carrier["traceparent"] + " " + carrier["baggage"]
			return http.StatusNoContent, nil, nil
		})); err != nil {
			t.Fatal(err)
		}
		ask(t.Context(), s, http.MethodGet, "/x", "", "Traceparent", "00-"+stranger+"-00f067aa0ba902b7-01", "Baggage", "user=evil")
		if recorded := len(spans.Ended()) > 0; recorded != trusted || strings.Contains(handed, stranger) != trusted || strings.Contains(handed, "evil") != trusted {
			t.Errorf("trusted: %t; recorded: %t, handed on: %s", trusted, recorded, handed)
		}
	}
}
