package leader

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// The lock's calls neither hang nor wait behind other requests of the process.
func TestCallsOfTheLockAreHurried(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		<-r.Context().Done()
	}))
	defer server.Close()
	cfg := &rest.Config{Host: server.URL, QPS: 0.001, Burst: 1}
	e, err := New(t.Context(), cfg, Settings{
		Name: leaseName, Namespace: "n", LeaseDuration: time.Second, RenewDeadline: 400 * time.Millisecond, RetryPeriod: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	patience := 10 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 3 {
		if _, err := e.client.Get(ctx, leaseName, metav1.GetOptions{}); err == nil {
			t.Error("a server that is silent has answered")
		}
	}
	if calls.Load() < 3 {
		t.Errorf("%d of 3 calls were made", calls.Load())
	}
	if ctx.Err() != nil {
		t.Errorf("calls with a timeout of 200ms hang for %s", patience)
	}
}

func TestWritesSayInWhichTermTheyAreMade(t *testing.T) {
	elect := func(t *testing.T, user string) (*Election, error) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			review := authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: user}}}
			review.APIVersion, review.Kind = "authentication.k8s.io/v1", "SelfSubjectReview"
			if err := json.NewEncoder(w).Encode(review); err != nil {
				t.Error(err)
			}
		}))
		t.Cleanup(server.Close)
		return New(t.Context(), &rest.Config{Host: server.URL}, Settings{Name: leaseName, Namespace: "n", Identity: "me", ServerFence: true})
	}
	t.Run("as a service account", func(t *testing.T) {
		e, err := elect(t, "system:serviceaccount:n:operator")
		if err != nil {
			t.Fatal(err)
		}
		e.base = t.Context()
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1"}, Spec: coordinationv1.LeaseSpec{LeaseTransitions: new(int32(3))}}
		e.wrote(lease, nil, e.writes(lease))
		term, err := e.Term()
		if err != nil {
			t.Fatal(err)
		}
		got := http.Header{}
		term.Stamp(got)
		for name, want := range map[string]string{
			"Impersonate-User":               "system:serviceaccount:n:operator",
			"Impersonate-Extra-Fence-Holder": "me",
			"Impersonate-Extra-Fence-Term":   "3",
		} {
			if got.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, got.Get(name), want)
			}
		}
	})
	t.Run("but not to another cluster", func(t *testing.T) {
		e, err := elect(t, "system:serviceaccount:n:operator")
		if err != nil {
			t.Fatal(err)
		}
		var told string
		write := func(host string) error {
			cfg, err := e.Fence(&rest.Config{Host: host, Transport: answering(func(r *http.Request) { told = r.Header.Get("Impersonate-Extra-Fence-Holder") })})
			if err != nil {
				t.Fatal(err)
			}
			client, err := rest.HTTPClientFor(cfg)
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://any/api/v1/namespaces/default/pods/p", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(r)
			if err != nil {
				return err
			}
			return response.Body.Close()
		}
		const other = "https://other.example"
		if err := write(other); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("outside of a term: %v", err)
		}
		e.base = t.Context()
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1"}}
		e.wrote(lease, nil, e.writes(lease))
		for host, want := range map[string]string{e.server: "me", e.server + "/": "me", strings.TrimPrefix(e.server, "http://"): "me", other: ""} {
			if err := write(host); err != nil || told != want {
				t.Errorf("%s was told of %q, want %q; %v", host, told, want, err)
			}
		}
		e.lose("over")
		if err := write(other); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("after the term: %v", err)
		}
		if _, err := e.Fence(&rest.Config{Host: "http://[::1"}); err == nil {
			t.Error("a host that is none is taken")
		}
	})
	t.Run("but not as anybody else", func(t *testing.T) {
		_, err := elect(t, "admin")
		if err == nil || !strings.Contains(err.Error(), "admin is no service account") {
			t.Errorf("error %v", err)
		}
	})
}

func TestAProcessThatRunsAloneHasNoTerms(t *testing.T) {
	var e *Election
	select {
	case <-e.Elected():
	default:
		t.Error("not elected")
	}
	if term, err := e.Term(); term != nil || err == nil || !e.Leading() {
		t.Errorf("term %v, error %v", term, err)
	}
}
