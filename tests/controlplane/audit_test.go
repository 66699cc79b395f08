package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// auditEvent is what the tests read of an event.
type auditEvent struct {
	AuditID   string
	Stage     string
	Verb      string
	ObjectRef struct{ Resource, Namespace, Name string }

	RequestObject json.RawMessage
}

// configMapCreates returns the events about config maps created in the
// namespace default.
func configMapCreates(t *testing.T, path string) []auditEvent {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []auditEvent
	for line := range bytes.Lines(data) {
		var event auditEvent
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("audit log: %v in %s", err, line)
		}
		if event.Verb == "create" && event.ObjectRef.Resource == "configmaps" && event.ObjectRef.Namespace == "default" {
			found = append(found, event)
		}
	}
	return found
}

func createConfigMap(t *testing.T, client *kubernetes.Clientset, name string) {
	t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
}

func TestAuditCountIsExact(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	r := startRun(t, "--audit", path)
	if r.AuditLog != path {
		t.Errorf("audit log %q, want %q", r.AuditLog, path)
	}
	client := r.client(t)

	// An answered request is in the log, without waiting.
	const oneByOne = 50
	for i := range oneByOne {
		createConfigMap(t, client, fmt.Sprintf("single-%d", i))
		if got := len(configMapCreates(t, path)); got != i+1 {
			t.Fatalf("%d events after %d writes", got, i+1)
		}
	}

	// No request is lost or counted twice when many come at once.
	const writers, each = 8, 50
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				createConfigMap(t, client, fmt.Sprintf("many-%d-%d", w, i))
			}
		})
	}
	writing.Wait()
	events := configMapCreates(t, path)
	if want := oneByOne + writers*each; len(events) != want {
		t.Errorf("%d events after %d writes", len(events), want)
	}
	ids := map[string]bool{}
	for _, event := range events {
		ids[event.AuditID] = true
		if event.Stage != "ResponseComplete" || event.RequestObject != nil {
			t.Errorf("stage %q with object %q, want ResponseComplete with none", event.Stage, event.RequestObject)
		}
	}
	if len(ids) != len(events) {
		t.Errorf("%d events of %d requests", len(events), len(ids))
	}
}

func TestAuditLevel(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	r := startRun(t, "--audit", path, "--audit-level", "Request")
	createConfigMap(t, r.client(t), "one")
	events := configMapCreates(t, path)
	if len(events) != 1 || !bytes.Contains(events[0].RequestObject, []byte(`"name":"one"`)) {
		t.Errorf("events %+v, want one with its object", events)
	}
}

func TestAuditLogStaysOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	core := startRun(t, "--audit", path, "--audit-level", "RequestResponse").client(t).CoreV1()
	// By default the API server begins another file after 100 MB.
	const writes = 60
	content := map[string]string{"large": strings.Repeat("x", 1<<20-1024)}
	for i := range writes {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("large-%d", i)}, Data: content}
		if _, err := core.ConfigMaps("default").Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if events := configMapCreates(t, path); len(events) != writes {
		t.Errorf("%d events after %d writes", len(events), writes)
	}
	if found, err := os.Stat(path); err != nil || found.Size() < 100<<20 {
		t.Errorf("the log is too small for this test: %v (%v)", found, err)
	}
}

// readSecretsAs asks whether a user may read secrets.
func readSecretsAs(user string) *authorizationv1.SubjectAccessReview {
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: "get", Resource: "secrets"},
	}}
}
