package manager

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
)

// served makes a Runtime whose webhooks have an address.
func served(ctx context.Context, t *testing.T, drain time.Duration) *Runtime {
	t.Helper()
	return start(ctx, t, Settings{DrainDelay: drain, Webhook: admission.Settings{
		BindAddress: "127.0.0.1:0", CertDir: t.TempDir(), SelfSigned: "127.0.0.1",
	}}, nil)
}

func post(t *testing.T, r *Runtime, path string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.webhooks.Addr()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// From the signal until the end every webhook is answered, also one that comes
// in the drain delay and one that is in flight when that is over.
func TestWebhooksAreAnsweredToTheEnd(t *testing.T) {
	root, stop := context.WithCancel(t.Context())
	const drain = 300 * time.Millisecond
	r := served(root, t, drain)
	begun := make(chan struct{}, 2)
	r.GetWebhookServer().Register("/slow", http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		begun <- struct{}{}
		<-r.Stopping().Done()
		time.Sleep(2 * drain)
		_, _ = fmt.Fprint(w, request.Context().Err())
	}))
	done := make(chan error, 1)
	go func() { done <- r.Run(root) }()
	for r.readyz.byName["webhooks"](nil) != nil {
		time.Sleep(time.Millisecond)
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 2)
	ask := func() {
		text, err := post(t, r, "/slow")
		answers <- answer{text, err}
	}
	go ask()
	<-begun
	stop()
	<-r.Stopping().Done()
	go ask()
	<-begun
	for range 2 {
		if a := <-answers; a.err != nil || a.text != "<nil>" {
			t.Errorf("answer %q (%v)", a.text, a.err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A cache may wait for the conversions of its own process.
func TestAProcessThatConvertsIsReadyBeforeItsCaches(t *testing.T) {
	r := served(t.Context(), t, 0)
	r.GetWebhookServer().Register("/validate", http.NotFoundHandler())
	if err := r.ready(nil); err == nil {
		t.Error("ready before its caches")
	}
	r.GetWebhookServer().Register(admission.ConversionPath, http.NotFoundHandler())
	if err := r.ready(nil); err != nil {
		t.Errorf("waits for its caches, which may wait for its conversions: %v", err)
	}
	if err := r.readyz.byName["webhooks"](nil); err == nil {
		t.Error("ready before it converts")
	}
	go func() { _ = r.webhooks.Start(t.Context()) }()
	for r.readyz.byName["webhooks"](nil) != nil {
		time.Sleep(time.Millisecond)
	}
}

func TestCallersOfWebhooksAreAskedToLeave(t *testing.T) {
	root, stop := context.WithCancel(t.Context())
	r := served(root, t, time.Second)
	r.GetWebhookServer().Register("/validate", http.NotFoundHandler())
	stop()
	done := make(chan error, 1)
	go func() { done <- r.Run(root) }()
	for r.webhooks.Ready(nil) != nil {
		time.Sleep(time.Millisecond)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.webhooks.Addr()+"/validate", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if !response.Close {
		t.Error("the connection is kept although the process ends")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
