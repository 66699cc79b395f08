//go:build integration

package integration_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/certs"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// upstream is a rule that asks a service, from which no answer arrives.
type upstream struct {
	url           string
	asked, cutOff atomic.Int64 // questions; those that ended because the API server hung up
	open          atomic.Int64
}

// ValidateCreate is the same code behind both servers.
func (u *upstream) ValidateCreate(ctx context.Context, _ *widget) (admission.Warnings, error) {
	u.asked.Add(1)
	u.open.Add(1)
	defer u.open.Add(-1)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if ctx.Err() == context.Canceled {
			u.cutOff.Add(1)
		}
		return nil, err
	}
	return nil, response.Body.Close()
}

// ValidateUpdate and ValidateDelete are what controller-runtime's own webhook
// asks for besides.
func (u *upstream) ValidateUpdate(context.Context, *widget, *widget) (admission.Warnings, error) {
	return nil, nil
}

func (u *upstream) ValidateDelete(context.Context, *widget) (admission.Warnings, error) {
	return nil, nil
}

// address is where a webhook is served, with the certificate to trust.
type address struct {
	host string
	ca   []byte
}

// ours serves u in an operator.
func ours(t *testing.T, u *upstream, http2 bool) address {
	t.Helper()
	return serveRules(t, u, http2)
}

// serveRules serves rules in an operator.
func serveRules(t *testing.T, rules any, http2 bool) address {
	t.Helper()
	folder := t.TempDir()
	var server *admission.Server
	runWith(t, config, manager.Settings{ReconcileTimeout: 40 * time.Second, Webhook: admission.Settings{
		BindAddress: "127.0.0.1:0", CertDir: folder, SelfSigned: "127.0.0.1", HTTP2: http2, MaxTimeout: 30 * time.Second,
	}}, func(rt *manager.Runtime) error {
		server = rt.GetWebhookServer().(*admission.Server)
		// Only what the plain server has too.
		return admission.Register[*widget](rt, admission.Paths{Default: "/default", Validate: "/validate"}, rules)
	})
	eventually(t, "the webhook server", func() bool { return server.Addr() != "" && server.Ready(nil) == nil })
	return address{server.Addr(), authority(t, folder)}
}

// plainWebhook serves u as a kubebuilder project does.
func plainWebhook(t *testing.T, u *upstream, http2 bool) address {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(host)
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	own, err := certs.NewSelfSigned(folder, []string{"127.0.0.1"}, certs.DefaultValid)
	if err != nil {
		t.Fatal(err)
	}
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: number, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.GetCertificate = own.GetCertificate
		if !http2 {
			c.NextProtos = []string{"http/1.1"}
		}
	}}})
	server.Register("/validate", ctrladmission.WithValidator[*widget](runtimetest.Scheme(), u))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the plain webhook server", func() bool { return server.StartedChecker()(nil) == nil })
	return address{host, authority(t, folder)}
}

func authority(t *testing.T, folder string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, certs.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// install has the API server ask the webhook at a about new widgets with the label,
// and about other operations on them.
func install(t *testing.T, a address, label string, seconds int32, policy admissionregistrationv1.FailurePolicyType, others ...admissionregistrationv1.OperationType) {
	t.Helper()
	obj := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "slow-"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:                    "validate.widgets.test.ctxscaffold.dev",
			AdmissionReviewVersions: []string{"v1"},
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: new("https://" + a.host + "/validate"), CABundle: a.ca},
			FailurePolicy:           &policy,
			ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{"case": label}},
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds:          &seconds,
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: append(others, admissionregistrationv1.Create),
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{runtimetest.GroupVersion.Group}, APIVersions: []string{"v1"}, Resources: []string{"widgets"},
				},
			}},
		}},
	}
	c := direct(t)
	if err := c.Create(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		_ = c.Delete(ctx, obj)
	})
}

// tally is what became of the admissions of one case.
type tally struct {
	admitted, named, denied atomic.Int64 // let pass; refused with the budget's name; refused as a verdict
	slowest                 atomic.Int64 // in nanoseconds
}

// admit creates count widgets with the label, some at a time, for nothing but their
// admission.
func admit(t *testing.T, label string, count, atATime int) *tally {
	t.Helper()
	c := direct(t)
	found := &tally{}
	slots := make(chan struct{}, atATime)
	var all sync.WaitGroup
	for range count {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			w := &widget{ObjectMeta: metav1.ObjectMeta{GenerateName: "slow-", Namespace: "default", Labels: map[string]string{"case": label}}}
			begun := time.Now()
			err := c.Create(t.Context(), w, client.DryRunAll)
			took := int64(time.Since(begun))
			for old := found.slowest.Load(); took > old && !found.slowest.CompareAndSwap(old, took); old = found.slowest.Load() {
			}
			switch {
			case err == nil:
				found.admitted.Add(1)
			case strings.Contains(err.Error(), "time to answer used up"):
				found.named.Add(1)
			case strings.Contains(err.Error(), "denied the request"):
				found.denied.Add(1)
			}
		})
	}
	all.Wait()
	return found
}

// atATime keeps a short timeout from being a measure of how fast the machine
// shakes hands, and a long one from lasting for ever. The API server takes 200.
func atATime(seconds int32) int {
	if seconds < 10 {
		return 25
	}
	return 100
}

// TestASlowUpstreamIsAnsweredBeforeTheAPIServerGivesUp has the same rule asked
// behind the emitted server and behind controller-runtime's own. In its short form
// it makes a few admissions of one second. WEBHOOK_TABLE names a file for the table
// of the long form, 200 admissions of each timeout.
func TestASlowUpstreamIsAnsweredBeforeTheAPIServerGivesUp(t *testing.T) {
	timeouts, count := []int32{1}, 20
	file := os.Getenv("WEBHOOK_TABLE")
	if file != "" {
		timeouts, count = []int32{1, 2, 3, 10, 30}, 200
	}
	// Whatever the service sends is swallowed, and the connection stays.
	silent := slowUpstream(t, `{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`)

	var rows []string
	var mu sync.Mutex
	for _, seconds := range timeouts {
		for _, http2 := range []bool{true, false} {
			for _, policy := range []admissionregistrationv1.FailurePolicyType{admissionregistrationv1.Fail, admissionregistrationv1.Ignore} {
				protocol := map[bool]string{true: "HTTP/2", false: "HTTP/1.1"}[http2]
				t.Run(fmt.Sprintf("%ds %s %s", seconds, policy, protocol), func(t *testing.T) {
					for name, serve := range map[string]func(*testing.T, *upstream, bool) address{"emitted": ours, "kubebuilder": plainWebhook} {
						t.Run(name, func(t *testing.T) {
							t.Parallel()
							u := &upstream{url: silent}
							label := fmt.Sprintf("%d-%s-%t-%s", seconds, policy, http2, name)
							install(t, serve(t, u, http2), label, seconds, policy)
							eventually(t, "the webhook", func() bool { admit(t, label, 1, 1); return u.asked.Load() > 0 })
							eventually(t, "its end", func() bool { return u.open.Load() == 0 })
							u.asked.Store(0)
							u.cutOff.Store(0)
							got := admit(t, label, count, atATime(seconds))
							if name == "emitted" {
								judge(t, u, got, policy, int64(count))
							}
							eventually(t, "the end of all", func() bool { return u.open.Load() == 0 })
							mu.Lock()
							defer mu.Unlock()
							rows = append(rows, fmt.Sprintf("| %2d s | %s | %s | %s | %d of %d | %d | %d | %d | %.1f s |", seconds, policy, protocol, name,
								u.asked.Load()-u.cutOff.Load(), u.asked.Load(), got.named.Load(), got.denied.Load(), got.admitted.Load(), time.Duration(got.slowest.Load()).Seconds()))
						})
					}
				})
			}
		}
	}
	slices.Sort(rows)
	table := "| timeout | failurePolicy | protocol | server | ended before the API server gave up | refused, budget named | denied | admitted | slowest |\n" +
		"|---|---|---|---|---|---|---|---|---|\n" + strings.Join(rows, "\n") + "\n"
	t.Log("\n" + table)
	if file != "" {
		if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// judge expects every answer to be the webhook's own, in time, and no verdict.
func judge(t *testing.T, u *upstream, got *tally, policy admissionregistrationv1.FailurePolicyType, count int64) {
	t.Helper()
	if asked, cut, open := u.asked.Load(), u.cutOff.Load(), u.open.Load(); asked != count || cut > 0 || open > 0 {
		t.Errorf("%d questions, %d cut off by the API server, %d that outlive their requests", asked, cut, open)
	}
	admitted := int64(0)
	if policy == admissionregistrationv1.Ignore {
		admitted = count
	}
	if got.admitted.Load() != admitted || got.named.Load() != count-admitted {
		t.Errorf("%d admitted, %d refused with the budget's name, %d denied", got.admitted.Load(), got.named.Load(), got.denied.Load())
	}
}
