package lag_test

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/lag"
)

var (
	widgets = schema.GroupResource{Group: "test.dev", Resource: "widgets"}
	pods    = schema.GroupResource{Resource: "pods"}
)

const (
	widgetsPath = "/apis/test.dev/v1/namespaces/default/widgets"
	podsPath    = "/api/v1/pods"
)

// apiServer is as much of an API server as a proxy needs. What is sent to a watch's
// channel it brings; every other request is answered with its credentials.
type apiServer struct {
	*httptest.Server
	watches chan chan string // in the order in which they begin
}

func serve(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{watches: make(chan chan string, 10)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") != "true" {
			fmt.Fprintf(w, "%s as %q", r.URL.Path, r.Header.Get("Authorization"))
			return
		}
		events := make(chan string)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		s.watches <- events
		for {
			select {
			case event := <-events:
				fmt.Fprintln(w, event)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// config connects to the server, whose API is under a path of its own.
func (s *apiServer) config() *rest.Config {
	return &rest.Config{
		Host: s.URL + "/cluster", BearerToken: "secret",
		TLSClientConfig: rest.TLSClientConfig{CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})},
	}
}

func start(t *testing.T, config *rest.Config) *lag.Proxy {
	t.Helper()
	p, err := lag.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// request asks the API server that config connects to.
func request(t *testing.T, config *rest.Config, method, path string, header ...string) (reply, error) {
	t.Helper()
	c, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, config.Host+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := c.Do(r)
	if err != nil {
		return reply{}, err
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return reply{response.StatusCode, response.Body}, nil
}

// reply is what came back, to be read while the test lasts.
type reply struct {
	code int
	body io.Reader
}

func answer(t *testing.T, config *rest.Config, method, path string, header ...string) (int, string) {
	t.Helper()
	response, err := request(t, config, method, path, header...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.body)
	if err != nil {
		t.Fatal(err)
	}
	return response.code, string(text)
}

// follow begins a watch. It returns where the API server sends its events and
// where the client gets them; the second is closed when the watch ends.
func follow(t *testing.T, s *apiServer, p *lag.Proxy, path string) (send chan<- string, got <-chan string) {
	t.Helper()
	response, err := request(t, p.Config(), http.MethodGet, path+"?watch=true")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(response.body)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	return <-s.watches, lines
}

func TestOnlyTheWatchesOfAHeldResourceAreHeld(t *testing.T) {
	s := serve(t)
	p := start(t, s.config())
	release := p.Hold(widgets)
	toOne, one := follow(t, s, p, widgetsPath)
	toOther, other := follow(t, s, p, widgetsPath)
	toPods, ofPods := follow(t, s, p, podsPath)
	for _, event := range []string{"first", "second"} {
		toOne <- event
		toOther <- event
		toPods <- event
	}
	for _, want := range []string{"first", "second"} {
		if got := <-ofPods; got != want {
			t.Errorf("pods: %q, want %q", got, want)
		}
	}
	if code, _ := answer(t, p.Config(), http.MethodGet, widgetsPath); code != http.StatusOK {
		t.Errorf("a list of what is held: %d", code)
	}
	if len(one)+len(other) > 0 {
		t.Error("events of a held resource have come")
	}
	release()
	for name, got := range map[string]<-chan string{"one": one, "other": other} {
		for _, want := range []string{"first", "second"} {
			if got := <-got; got != want {
				t.Errorf("%s watch of widgets: %q, want %q", name, got, want)
			}
		}
	}
	p.Cut(widgets)
	if _, open := <-one; open {
		t.Error("a cut watch goes on")
	}
	if _, open := <-other; open {
		t.Error("a cut watch goes on")
	}
	toPods <- "third"
	if got := <-ofPods; got != "third" {
		t.Errorf("pods after a cut of widgets: %q", got)
	}
	p.Cut()
	if _, open := <-ofPods; open {
		t.Error("a cut watch goes on")
	}
}

func TestAHoldLastsUntilEachIsReleased(t *testing.T) {
	s := serve(t)
	p := start(t, s.config())
	releaseAll, releaseWidgets := p.Hold(), p.Hold(widgets)
	toWidgets, ofWidgets := follow(t, s, p, widgetsPath)
	toPods, ofPods := follow(t, s, p, podsPath)
	toWidgets <- "w"
	toPods <- "p"
	releaseAll()
	if got := <-ofPods; got != "p" {
		t.Errorf("pods: %q", got)
	}
	select {
	case got := <-ofWidgets:
		t.Fatalf("widgets are no longer held: %q", got)
	case <-time.After(200 * time.Millisecond): // long enough for what is not held
	}
	releaseWidgets()
	if got := <-ofWidgets; got != "w" {
		t.Errorf("widgets: %q", got)
	}
}

func TestAnotherDelayIsForWhatWaitsToo(t *testing.T) {
	s := serve(t)
	p := start(t, s.config())
	p.Delay(time.Hour)
	p.Delay(0, pods)
	toWidgets, ofWidgets := follow(t, s, p, widgetsPath)
	toPods, ofPods := follow(t, s, p, podsPath)
	toWidgets <- "w"
	toPods <- "p"
	if got := <-ofPods; got != "p" {
		t.Errorf("pods, which have a delay of their own: %q", got)
	}
	if len(ofWidgets) > 0 {
		t.Error("an event has come before its time")
	}
	p.Delay(0)
	if got := <-ofWidgets; got != "w" {
		t.Errorf("widgets: %q", got)
	}
}

func TestCredentials(t *testing.T) {
	s := serve(t)
	p := start(t, s.config())
	if p.Config().BearerToken == "secret" {
		t.Error("clients of the proxy hold the credentials of the API server")
	}
	anonymous := p.Config()
	anonymous.BearerToken = ""
	other := p.Config()
	other.BearerToken = "other"
	for name, test := range map[string]struct {
		config *rest.Config
		want   string
	}{
		"the proxy's own":  {p.Config(), `"Bearer secret"`},
		"somebody else's":  {other, `"Bearer other"`},
		"nobody's, so not": {anonymous, `""`},
	} {
		if _, got := answer(t, test.config, http.MethodGet, podsPath); got != "/cluster"+podsPath+" as "+test.want {
			t.Errorf("%s: the API server was asked %s, want as %s", name, got, test.want)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	s := serve(t)
	p := start(t, s.config())
	for _, ask := range []struct{ method, path string }{
		{http.MethodGet, widgetsPath}, {http.MethodGet, widgetsPath + "?watch=0"}, {http.MethodGet, widgetsPath + "/w"},
		{http.MethodPost, widgetsPath}, {http.MethodPut, widgetsPath + "/w"},
		{http.MethodPatch, widgetsPath + "/w/status"}, {http.MethodPatch, widgetsPath + "/w/status"},
		{http.MethodDelete, widgetsPath + "/w"}, {http.MethodDelete, widgetsPath},
		{http.MethodGet, "/readyz"}, {http.MethodGet, "/apis/test.dev/v1"},
	} {
		answer(t, p.Config(), ask.method, ask.path)
	}
	follow(t, s, p, podsPath)
	want := map[lag.Request]int{
		{Verb: "list", Resource: widgets}:                         2,
		{Verb: "get", Resource: widgets}:                          1,
		{Verb: "create", Resource: widgets}:                       1,
		{Verb: "update", Resource: widgets}:                       1,
		{Verb: "patch", Resource: widgets, Subresource: "status"}: 2,
		{Verb: "delete", Resource: widgets}:                       1,
		{Verb: "deletecollection", Resource: widgets}:             1,
		{Verb: "watch", Resource: pods}:                           1,
	}
	if got := p.Requests(); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

func TestWhatIsNotPassedOn(t *testing.T) {
	s := serve(t)
	config := s.config()
	config.NextProtos = []string{"http/1.1"} // HTTP/2 has no upgrades
	p := start(t, config)
	code, _ := answer(t, p.Config(), http.MethodPost, podsPath+"/p/exec", "Connection", "Upgrade", "Upgrade", "websocket")
	if code != http.StatusNotImplemented {
		t.Errorf("an upgrade is answered with %d, want %d", code, http.StatusNotImplemented)
	}
	s.Close()
	if response, err := request(t, p.Config(), http.MethodGet, podsPath); err == nil {
		t.Errorf("an API server that is gone answers %d, want a broken connection", response.code)
	}
}
