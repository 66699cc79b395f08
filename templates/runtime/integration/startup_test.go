//go:build integration

package integration_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// holding is an API server that does not answer lists and watches of some resources.
type holding struct {
	mu       sync.Mutex
	resource map[string]chan struct{} // closed when it answers
	asked    map[string]bool
	lease    func() // called when the lease is written
}

func hold(lease func(), resources ...string) *holding {
	h := &holding{resource: map[string]chan struct{}{}, asked: map[string]bool{}, lease: lease}
	for _, r := range resources {
		h.resource[r] = make(chan struct{})
	}
	return h
}

func (h *holding) release(resource string) { close(h.resource[resource]) }

func (h *holding) hasAsked(resource string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[resource]
}

// through returns config with what is held before it.
func (h *holding) through(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return held{h, next} })
	return c
}

type held struct {
	*holding
	next http.RoundTripper
}

func (h held) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		if strings.Contains(r.URL.Path, "/leases") {
			h.lease()
		}
		return h.next.RoundTrip(r)
	}
	name := path.Base(r.URL.Path)
	if answers := h.resource[name]; answers != nil {
		h.mu.Lock()
		h.asked[name] = true
		h.mu.Unlock()
		select {
		case <-answers:
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
	return h.next.RoundTrip(r)
}

// owner is a user's reconciler whose controller watches another kind.
type owner struct{ user }

func (owner) Configure(b *reconciler.Builder) error {
	b.Watches(&corev1.ConfigMap{}, &handler.EnqueueRequestForObject{}, builder.OnlyMetadata)
	return nil
}

// A replica whose caches are empty can do nothing: it must neither take the lease
// nor let a rollout go on. What is watched by hand is not waited for.
func TestReadyAndLeadingWhenTheCachesAreFilled(t *testing.T) {
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()

	var mu sync.Mutex
	filled, early := false, false
	h := hold(func() {
		mu.Lock()
		defer mu.Unlock()
		early = early || !filled
	}, "widgets", "configmaps")

	ctx, stop := context.WithCancel(t.Context())
	rt, err := manager.New(ctx, h.through(config), manager.Options{
		Scheme: runtimetest.Scheme(),
		Settings: manager.Settings{
			MetricsBindAddress: "0", ProbeBindAddress: address, LeaderElection: true, LeaderElectionID: "startup",
			Leader: leader.Settings{Namespace: "default", LeaseDuration: 2 * time.Second, RetryPeriod: 200 * time.Millisecond},
		},
		Configure: func(o *ctrl.Options) { o.Controller.SkipNameValidation = new(true) },
	})
	if err != nil {
		t.Fatal(err)
	}
	absent := schema.GroupVersionResource{Group: "never.ctxscaffold.dev", Version: "v1", Resource: "absentees"}
	sources, err := watch.External(rt, func(context.Context, schema.GroupVersionResource, *metav1.PartialObjectMetadata) []reconcile.Request {
		return nil
	}, absent)
	if err != nil {
		t.Fatal(err)
	}
	if err := setup(rt, owner{func(context.Context, *widget) error { return nil }}, sources...); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})

	probe := func() (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz?verbose", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	const ours, theirs = "informer Widget.test.ctxscaffold.dev ", "informer ConfigMap (metadata) "
	waits := func(kinds ...string) func() bool {
		return func() bool {
			code, text := probe()
			return code == http.StatusInternalServerError && strings.Count(text, "informer ") == len(kinds) &&
				strings.Contains(text, kinds[0]) && strings.Contains(text, kinds[len(kinds)-1])
		}
	}
	eventually(t, "requests that hang", func() bool { return h.hasAsked("widgets") && h.hasAsked("configmaps") })
	eventually(t, "both are waited for", waits(ours, theirs))
	time.Sleep(time.Second) // for some attempts to get the lease
	h.release("widgets")
	eventually(t, "one is waited for", waits(theirs))
	if rt.Election().Leading() {
		t.Error("leads before its caches are filled")
	}
	mu.Lock()
	filled = true
	mu.Unlock()
	h.release("configmaps")
	eventually(t, "ready", func() bool { code, _ := probe(); return code == http.StatusOK })
	eventually(t, "leading", rt.Election().Leading)
	mu.Lock()
	defer mu.Unlock()
	if early {
		t.Error("asked for the lease before its caches were filled")
	}
}
