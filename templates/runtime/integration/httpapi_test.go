//go:build integration

package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpapi"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// caller asks an HTTP API that serves at base.
type caller struct {
	base   string
	token  string
	client *http.Client
}

// answered is an answer, read to its end.
type answered struct {
	code   int
	header http.Header
	body   string
}

func (c caller) ask(ctx context.Context, method, path, body string, header ...string) (answered, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := c.client.Do(r)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, response.Header, string(text)}, err
}

// must is ask with the status that is expected.
func (c caller) must(t *testing.T, code int, method, path, body string, header ...string) answered {
	t.Helper()
	got, err := c.ask(t.Context(), method, path, body, header...)
	if err != nil || got.code != code {
		t.Fatalf("%s %s: %d (%v), want %d: %s", method, path, got.code, err, code, got.body)
	}
	return got
}

// serving runs an operator of widgets with an HTTP API for everybody, unless
// settings say otherwise, and with more routes.
func serving(t *testing.T, cfg *rest.Config, settings manager.Settings, routes map[string]http.Handler) (*operator, caller) {
	t.Helper()
	settings.HTTP.BindAddress = "127.0.0.1:0"
	settings.HTTP.Insecure = settings.HTTP.CertDir == ""
	o := runWith(t, cfg, settings, func(rt *manager.Runtime) error {
		for pattern, handler := range routes {
			if err := rt.HTTP().Handle(pattern, "", handler); err != nil {
				return err
			}
		}
		if err := httpapi.Register(rt.HTTP(), rt, httpapi.Resource{
			Kind: runtimetest.GroupVersion.WithKind("Widget"), Plural: "widgets", Namespaced: true, Fields: []string{"spec"}, Owner: "test",
			New:     func() client.Object { return &widget{} },
			NewList: func() client.ObjectList { return &runtimetest.WidgetList{} },
		}); err != nil {
			return err
		}
		loop, err := reconciler.New(rt, kind(), user(func(context.Context, *widget) error { return nil }))
		if err != nil {
			return err
		}
		return loop.Register(rt, wrap(rt, loop), rt.Gains(&runtimetest.WidgetList{}))
	})
	eventually(t, "the HTTP API", func() bool { return o.runtime.HTTP().Addr() != "" })
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return o, caller{base: "http://" + o.runtime.HTTP().Addr(), client: &http.Client{Transport: transport, Timeout: time.Minute}}
}

var widgetsPath = "/apis/" + runtimetest.GroupVersion.String() + "/namespaces/default/widgets"

func TestObjectsByHTTP(t *testing.T) {
	_, c := serving(t, config, manager.Settings{}, nil)
	name := fmt.Sprintf("http%d", names.Add(1))
	one := widgetsPath + "/" + name
	body := func(text string) string { return fmt.Sprintf(text, name) }

	made := c.must(t, http.StatusCreated, http.MethodPost, widgetsPath, body(`{"metadata":{"name":"%s","labels":{"by":"http"}},"spec":{"size":1}}`))
	var obj widget
	if err := json.Unmarshal([]byte(made.body), &obj); err != nil || obj.Spec.Size != 1 {
		t.Fatalf("%v: %s", err, made.body)
	}
	c.must(t, http.StatusConflict, http.MethodPost, widgetsPath, body(`{"metadata":{"name":"%s"},"spec":{"size":1}}`))
	c.must(t, http.StatusBadRequest, http.MethodPost, widgetsPath, `{"metadata":{"name":"x"},"spec":{"unknown":1}}`)
	c.must(t, http.StatusUnprocessableEntity, http.MethodPost, widgetsPath, `{"metadata":{"name":"Not A Name"},"spec":{}}`)
	c.must(t, http.StatusNotFound, http.MethodPut, widgetsPath+"/nobody", `{"spec":{"size":2}}`)
	c.must(t, http.StatusNotFound, http.MethodDelete, widgetsPath+"/nobody", "")
	c.must(t, http.StatusNotFound, http.MethodPost, strings.Replace(widgetsPath, "default", "nowhere", 1), body(`{"metadata":{"name":"%s"},"spec":{}}`))

	c.must(t, http.StatusOK, http.MethodPut, one, `{"spec":{"size":2}}`)
	stale := fmt.Sprintf(`{"metadata":{"resourceVersion":"%s"},"spec":{"size":3}}`, obj.ResourceVersion)
	c.must(t, http.StatusConflict, http.MethodPut, one, stale)
	stored := get(t, &obj)
	if stored.Spec.Size != 2 || stored.Labels["by"] != "http" {
		t.Errorf("stored %+v", stored)
	}
	if owners := stored.ManagedFields; !slices.ContainsFunc(owners, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == "test" }) {
		t.Errorf("written by %v", owners)
	}
	eventually(t, "the cache has it", func() bool {
		list, err := c.ask(t.Context(), http.MethodGet, widgetsPath+"?labelSelector=by%3Dhttp", "")
		return err == nil && list.code == http.StatusOK && strings.Contains(list.body, `"size":2`)
	})
	c.must(t, http.StatusAccepted, http.MethodDelete, one, "")
	eventually(t, "it is gone", func() bool {
		got, err := c.ask(t.Context(), http.MethodGet, one, "")
		return err == nil && got.code == http.StatusNotFound
	})
}

// Each way to announce a time ends the call that a route makes elsewhere.
func TestAnAnnouncedTimeEndsTheCallUpstream(t *testing.T) {
	ended := make(chan struct{}, 1)
	silent, _ := net.Listen("tcp", "127.0.0.1:0")
	upstream := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended <- struct{}{}
	})}
	go func() { _ = upstream.Serve(silent) }()
	t.Cleanup(func() { _ = upstream.Close() })
	why := make(chan error, 1)
	_, c := serving(t, config, manager.Settings{HTTP: httpapi.Settings{MaxTimeout: 3 * time.Second}}, map[string]http.Handler{
		"GET /upstream": httpapi.Answer(func(r *http.Request) (int, any, error) {
			request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+silent.Addr().String(), http.NoBody)
			if err != nil {
				return 0, nil, err
			}
			response, err := (&http.Client{}).Do(request)
			why <- context.Cause(r.Context())
			if err != nil {
				return 0, nil, err
			}
			return http.StatusOK, nil, response.Body.Close()
		}),
	})
	for _, one := range []struct {
		header []string
		budget string
	}{
		{[]string{httpx.GRPCTimeout, "1S"}, "grpc-timeout 1s less 200ms"},
		{[]string{httpx.EnvoyTimeout, "1000"}, "x-envoy-expected-rq-timeout-ms 1s less 200ms"},
		{nil, "--http-max-timeout"},
	} {
		got := c.must(t, http.StatusGatewayTimeout, http.MethodGet, "/upstream", "", one.header...)
		if !strings.Contains(got.body, one.budget) || !strings.Contains(got.body, "request_deadline") {
			t.Errorf("%v: %s", one.header, got.body)
		}
		<-ended
		if err := <-why; !errors.Is(err, httpx.RequestDeadline) {
			t.Errorf("%v: cause %v", one.header, err)
		}
	}
	ctx, leave := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer leave()
	if got, err := c.ask(ctx, http.MethodGet, "/upstream", ""); err == nil {
		t.Errorf("answered %d", got.code)
	}
	<-ended
	if err := <-why; !errors.Is(err, cause.ClientGone) {
		t.Errorf("who hung up: cause %v", err)
	}
}

func TestAnswersInFlightOutliveTheSignal(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	o, c := serving(t, config, manager.Settings{}, map[string]http.Handler{
		"GET /long": httpapi.Answer(func(r *http.Request) (int, any, error) {
			close(begun)
			select {
			case <-finish:
				return http.StatusOK, "whole", nil
			case <-r.Context().Done():
				return 0, nil, context.Cause(r.Context())
			}
		}),
	})
	answer := make(chan answered, 1)
	go func() {
		got, err := c.ask(t.Context(), http.MethodGet, "/long", "")
		if err != nil {
			t.Error(err)
		}
		answer <- got
	}()
	<-begun
	o.stop()
	eventually(t, "nobody else is let in", func() bool {
		other := caller{base: c.base, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
		_, err := other.ask(t.Context(), http.MethodGet, httpapi.HealthPath, "")
		return err != nil
	})
	close(finish)
	if got := <-answer; got.code != http.StatusOK || got.body != `"whole"` {
		t.Errorf("%d %s", got.code, got.body)
	}
}

func TestWhoDoesNotLeadReadsAlone(t *testing.T) {
	settings, release := competing(t, "http-api")
	_, c := serving(t, config, settings, nil)
	read := c.must(t, http.StatusOK, http.MethodGet, widgetsPath, "")
	if !strings.HasPrefix(read.header.Get("Warning"), "299 ") {
		t.Errorf("Warning %q", read.header.Get("Warning"))
	}
	body := fmt.Sprintf(`{"metadata":{"name":"http%d"},"spec":{}}`, names.Add(1))
	refused := c.must(t, http.StatusServiceUnavailable, http.MethodPost, widgetsPath, body)
	if refused.header.Get("Retry-After") != "1" || refused.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("header %v: %s", refused.header, refused.body)
	}
	release()
	eventually(t, "it leads", func() bool {
		got, err := c.ask(t.Context(), http.MethodPost, widgetsPath, body)
		return err == nil && got.code == http.StatusCreated
	})
	if read := c.must(t, http.StatusOK, http.MethodGet, widgetsPath, ""); read.header.Get("Warning") != "" {
		t.Errorf("Warning %q while leading", read.header.Get("Warning"))
	}
}

func TestTheTraceOfATrustedCallerGoesOn(t *testing.T) {
	seen := make(chan string, 16)
	cfg := rest.CopyConfig(config)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return otelhttp.NewTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/widgets") {
				seen <- r.Header.Get("Traceparent")
			}
			return next.RoundTrip(r)
		}))
	})
	_, c := serving(t, cfg, manager.Settings{HTTP: httpapi.Settings{TrustTraces: true}}, nil)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	c.must(t, http.StatusCreated, http.MethodPost, widgetsPath, fmt.Sprintf(`{"metadata":{"name":"http%d"},"spec":{}}`, names.Add(1)),
		"Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	if got := <-seen; !strings.Contains(got, trace) {
		t.Errorf("the API server is told of trace %q, want %s", got, trace)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Callers are known by their tokens and have the rights that RBAC gives them.
func TestCallersNeedRights(t *testing.T) {
	folder := t.TempDir()
	_, c := serving(t, config, manager.Settings{HTTP: httpapi.Settings{CertDir: folder, SelfSigned: "127.0.0.1"}}, nil)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority(t, folder))
	c.base = strings.Replace(c.base, "http:", "https:", 1)
	c.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}

	c.must(t, http.StatusNoContent, http.MethodGet, httpapi.HealthPath, "")
	c.must(t, http.StatusOK, http.MethodGet, httpapi.DocumentPath, "")
	c.must(t, http.StatusUnauthorized, http.MethodGet, widgetsPath, "")
	c.token = "wrong"
	c.must(t, http.StatusUnauthorized, http.MethodGet, widgetsPath, "")

	api := direct(t)
	name := fmt.Sprintf("caller%d", names.Add(1))
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	if err := api.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	token := &authenticationv1.TokenRequest{}
	if err := api.SubResource("token").Create(t.Context(), account, token); err != nil {
		t.Fatal(err)
	}
	c.token = token.Status.Token
	if got := c.must(t, http.StatusForbidden, http.MethodGet, widgetsPath, ""); !strings.Contains(got.body, name) {
		t.Errorf("does not say who: %s", got.body)
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{runtimetest.GroupVersion.Group}, Resources: []string{"widgets"}, Verbs: []string{"update"},
	}}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: name}}}
	for _, obj := range []client.Object{role, binding} {
		if err := api.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the right to change", func() bool {
		got, err := c.ask(t.Context(), http.MethodPut, fmt.Sprintf("%s/nobody%d", widgetsPath, names.Add(1)), `{"spec":{}}`)
		return err == nil && got.code == http.StatusNotFound
	})
	c.must(t, http.StatusForbidden, http.MethodDelete, widgetsPath+"/nobody", "")
}

// hostile is what must not hold up a server: how it begins, what it goes on
// sending, and the statuses that may answer it, none for a connection that is
// closed without a word.
type hostile struct {
	name, begins string
	drips        string
	codes        string
}

// attack has count connections of h each, and returns the growth of the heap while
// all are open. Every one must be closed by the server within limit.
func attack(t *testing.T, dial func() (net.Conn, error), h hostile, count int, limit time.Duration) uint64 {
	t.Helper()
	before := heap()
	begun := time.Now()
	done := make(chan error, count)
	for range count {
		go func() { done <- suffer(dial, h, begun.Add(limit)) }()
	}
	time.Sleep(time.Second) // all have begun, or are refused already
	grown := max(heap(), before) - before
	for range count {
		if err := <-done; err != nil {
			t.Errorf("%s: %v", h.name, err)
		}
	}
	return grown
}

// suffer is one connection.
func suffer(dial func() (net.Conn, error), h hostile, end time.Time) error {
	connection, err := dial()
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(end); err != nil {
		return err
	}
	closed := make(chan struct{})
	var text []byte
	go func() {
		defer close(closed)
		text, err = io.ReadAll(connection)
	}()
	_, _ = io.WriteString(connection, h.begins)
	pause := 100 * time.Millisecond
	if len(h.drips) > 1000 {
		pause = 0
	}
	for {
		select {
		case <-closed:
			if errors.Is(err, context.DeadlineExceeded) || time.Now().After(end) {
				return fmt.Errorf("not closed in time, said %q", text)
			}
			if len(text) > 0 && !strings.Contains(h.codes, string(text[9:12])) {
				return fmt.Errorf("answered %q, want %s", text, h.codes)
			}
			return nil
		case <-time.After(pause):
			_, _ = io.WriteString(connection, h.drips) // fails when it is closed
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestNobodyHoldsUpAServer sends headers and bodies that never end, and bodies that
// are far too large, to both servers.
func TestNobodyHoldsUpAServer(t *testing.T) {
	_, c := serving(t, config, manager.Settings{HTTP: httpapi.Settings{MaxTimeout: 2 * time.Second}}, nil)
	api := strings.TrimPrefix(c.base, "http://")
	hook := ours(t, &upstream{}, false)
	for _, server := range []struct {
		name, path string
		body       uint64 // the size of the largest
		dial       func() (net.Conn, error)
	}{
		{"http api", widgetsPath, httpapi.DefaultMaxBody, func() (net.Conn, error) { return net.Dial("tcp", api) }},
		{"webhooks", "/validate?timeout=2s", 8 << 20, func() (net.Conn, error) {
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(hook.ca)
			return tls.Dial("tcp", hook.host, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
		}},
	} {
		start := "POST " + server.path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		large := strings.Repeat("x", 64<<10)
		for _, h := range []hostile{
			{"slow headers", start, "X-A: b\r\n", "408"},
			{"a slow body", start + "Content-Length: 1000\r\n\r\n", " ", "408"},
			{"a slow chunked body", start + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", "408"},
			{"100 MB announced", start + "Content-Length: 104857600\r\n\r\n", large, "413"},
			{"100 MB in chunks", start + "Transfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n", len(large), large), "413 408"},
			{"huge headers", start + "X-A: " + strings.Repeat("a", 200<<10) + "\r\n", large, "431"},
		} {
			t.Run(server.name+" "+h.name, func(t *testing.T) {
				const count = 20
				grown := attack(t, server.dial, h, count, 8*time.Second)
				// A body of unknown length is read up to the largest size, into a buffer
				// that is copied to one twice as large whenever it is full.
				if most := count*3*server.body + 16<<20; grown > most {
					t.Errorf("the heap grew by %d MB", grown>>20)
				}
			})
		}
	}
	c.must(t, http.StatusOK, http.MethodGet, widgetsPath, "")
}
