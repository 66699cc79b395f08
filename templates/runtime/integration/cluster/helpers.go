package cluster

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Patience is how long a test waits for what is to be: 30s, or PATIENCE from the environment,
// for tests that are expected to fail.
var Patience = func() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("PATIENCE")); err == nil {
		return d
	}
	return 30 * time.Second
}()

// Client returns an administrator's client, without a cache. It is one for all, as each has to
// learn which kinds there are.
func (c *Cluster) Client(t testing.TB) client.Client {
	t.Helper()
	c.once.Do(func() { c.client, c.err = client.New(c.Config, client.Options{Scheme: Scheme()}) })
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c.client
}

// MakeNamespace makes a namespace, with labels given as name=value.
func (c *Cluster) MakeNamespace(t testing.TB, name string, labels ...string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, label := range labels {
		k, v, _ := strings.Cut(label, "=")
		ns.Labels[k] = v
	}
	if err := c.Client(t).Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
}

// Patch changes an object.
func (c *Cluster) Patch(t testing.TB, obj client.Object, change any) {
	t.Helper()
	text, err := json.Marshal(change)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Client(t).Patch(t.Context(), obj, client.RawPatch("application/merge-patch+json", text)); err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until what holds: wrong returns what is not right yet, which is empty
// then.
func Eventually(t testing.TB, what string, wrong func() string) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		fault := wrong()
		if fault == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %s: %s", what, Patience, fault)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
