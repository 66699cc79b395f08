//go:build integration

package access_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/access"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

var account = access.Settings{Shared: shared, Account: "worker"}

// subjects are all attempts, in the order of docs/isolation.md.
var subjects = []struct {
	title    string
	whose    string // the requests
	settings access.Settings
	attempts []attempt
}{
	{"Reach", "the operator's", access.Settings{Shared: shared}, withOperatorsRights},
	{"Reach", "the tenant's account's", account, withAccount},
	{"Contexts", "the operator's", access.Settings{}, withContexts},
	{"Names, labels and owners", "the operator's", access.Settings{}, withNames},
	{"Names, labels and owners", "the tenant's account's", account, withNamesByAccount},
	{"Quotas", "the operator's", access.Settings{}, overQuotas},
	{"Quotas", "a namespace administrator's", access.Settings{}, overQuotasByHand},
	{"Webhooks", "the operator's", access.Settings{}, pastWebhooks},
	{"Webhooks", "anybody's", access.Settings{}, toWebhooks},
}

func TestNoAttemptSucceeds(t *testing.T) {
	for _, s := range subjects {
		t.Run(s.title+", "+s.whose, func(t *testing.T) {
			rt := confine(t, s.settings)
			for _, a := range s.attempts {
				t.Run(a.name, func(t *testing.T) {
					rt := rt.at(t)
					ctx, _ := rt.in(north)
					judge(t, a, a.try(ctx, rt))
				})
			}
		})
	}
}

func TestWhatIsNotRefused(t *testing.T) {
	rt := confine(t, access.Settings{})
	for _, a := range notRefused {
		t.Run(a.name, func(t *testing.T) {
			rt := rt.at(t)
			ctx, _ := rt.in(north)
			if err := a.try(ctx, rt); err != nil {
				t.Error(err)
			}
		})
	}
}

// judge checks that an attempt was refused by what must refuse it.
func judge(t *testing.T, a attempt, err error) {
	t.Helper()
	t.Logf("%v", err)
	if !a.by.is(err) {
		t.Fatalf("not refused by %s: %v", a.by.name, err)
	}
	if _, ok := errors.AsType[*access.RefusedError](err); !ok {
		return
	}
	if !requeue.IsTerminal(err) {
		t.Errorf("is tried again: %v", err)
	}
	if reason, _ := requeue.Reason(err); reason != access.Reason {
		t.Errorf("reason %q", reason)
	}
}

// TestATenantHasItsOwn tells confinement from a client that can do nothing.
func TestATenantHasItsOwn(t *testing.T) {
	rt := confine(t, access.Settings{Shared: shared})
	c := rt.GetClient()
	inside, _ := rt.in(north)
	for what, do := range map[string]func(ctx context.Context) error{
		"create": func(ctx context.Context) error { return c.Create(ctx, configMap(north, "own")) },
		"apply":  func(ctx context.Context) error { return c.Apply(ctx, applied(north), client.FieldOwner("north")) },
		"status": func(ctx context.Context) error { return c.Status().Patch(ctx, widget(north), labelled()) },
		"get": func(ctx context.Context) error {
			return c.Get(ctx, client.ObjectKeyFromObject(widget(north)), widget(north))
		},
		"list": func(ctx context.Context) error {
			return c.List(ctx, &runtimetest.WidgetList{}, client.InNamespace(north))
		},
		"read shared": func(ctx context.Context) error {
			return c.Get(ctx, client.ObjectKeyFromObject(configMap(shared, "there")), &corev1.ConfigMap{})
		},
		"read shared live": func(ctx context.Context) error {
			return rt.GetAPIReader().List(ctx, &corev1.ConfigMapList{}, client.InNamespace(shared))
		},
		"list the unscoped": func(ctx context.Context) error { return c.List(ctx, &corev1.NamespaceList{}) },
		"the same, live":    func(ctx context.Context) error { return rt.GetAPIReader().List(ctx, &corev1.NamespaceList{}) },
		"get the unscoped": func(ctx context.Context) error {
			return rt.GetAPIReader().Get(ctx, client.ObjectKey{Name: south}, &corev1.Namespace{})
		},
		"delete all of ours": func(ctx context.Context) error {
			return c.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(north))
		},
	} {
		t.Run(what, func(t *testing.T) {
			if err := do(inside); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("without a tenant, read", func(t *testing.T) {
		if err := c.List(t.Context(), &runtimetest.WidgetList{}); err != nil {
			t.Error(err)
		}
	})
}

// TestTheLongestNames is about what is made of names, such as keys, paths and messages.
func TestTheLongestNames(t *testing.T) {
	rt := confine(t, access.Settings{})
	namespace, name := strings.Repeat("n", 63), strings.Repeat("w", 253)
	rt.bounded(namespace, 1)
	w := &runtimetest.Widget{ObjectMeta: meta(namespace, name)}
	rt.create(w)
	if err := rt.pass(w, func(ctx context.Context, w *runtimetest.Widget) error {
		return errors.Join(
			rt.GetClient().Create(ctx, configMap(namespace, name)),
			rt.GetClient().Get(ctx, client.ObjectKeyFromObject(w), w),
		)
	}); err != nil {
		t.Error(err)
	}
	if err := rt.pass(w, func(ctx context.Context, _ *runtimetest.Widget) error {
		return rt.GetClient().Create(ctx, one(namespace))
	}); !quotas.is(err) {
		t.Errorf("one over the quota: %v", err)
	}
	if err := rt.pass(w, func(ctx context.Context, _ *runtimetest.Widget) error {
		return rt.GetClient().Create(ctx, configMap(namespace[1:], name))
	}); !transport.is(err) {
		t.Errorf("in a namespace with a shorter name: %v", err)
	}
}

func TestRequestsAreTheAccounts(t *testing.T) {
	rt := confine(t, account)
	ctx, _ := rt.in(north)
	inSouth, _ := rt.in(south)
	if err := rt.GetClient().Create(ctx, configMap(north, "by-account")); err != nil {
		t.Error(err)
	}
	var list runtimetest.WidgetList
	if err := rt.GetClient().List(ctx, &list, client.InNamespace(north)); err != nil || len(list.Items) == 0 {
		t.Errorf("%d objects of the operator's own kind, from its cache; error %v", len(list.Items), err)
	}
	review := &authenticationv1.SelfSubjectReview{}
	_, err := clientset(rt).AuthenticationV1().SelfSubjectReviews().Create(ctx, review, metav1.CreateOptions{})
	if _, ok := errors.AsType[*access.RefusedError](err); !ok {
		t.Errorf("a review is a write in no namespace: %v", err)
	}
	for namespace, ctx := range map[string]context.Context{north: ctx, south: inSouth} {
		err := rt.GetClient().Delete(ctx, configMap(namespace, "there"))
		if err == nil || !strings.Contains(err.Error(), `"system:serviceaccount:`+namespace+`:worker"`) {
			t.Errorf("in %s: %v", namespace, err)
		}
	}
}

func TestFlagsThatSayNothing(t *testing.T) {
	rt := assemble(t, plane.Config, manager.Settings{}, nil)
	for says, s := range map[string]access.Settings{
		"--tenant-shared-namespaces \"a,,b\"": {Shared: "a,,b"},
		"--tenant-service-account \"A b\"":    {Account: "A b"},
	} {
		if _, err := s.Confine(rt); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want one that says %s", err, says)
		}
	}
}

const page = "../../../../docs/isolation.md"

var write = flag.Bool("write", false, "write the table of docs/isolation.md")

// TestThePageListsEveryAttempt keeps docs/isolation.md as the attempts are.
func TestThePageListsEveryAttempt(t *testing.T) {
	const begin, end = "<!-- attempts -->\n", "<!-- end of attempts -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(text), begin)
	listed, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no table between its marks", page)
	}
	var tables strings.Builder
	for i, s := range subjects {
		if i == 0 || s.title != subjects[i-1].title {
			fmt.Fprintf(&tables, "\n## %s\n\n| attempt | requests are | refused by |\n|---|---|---|\n", s.title)
		}
		for _, a := range s.attempts {
			fmt.Fprintf(&tables, "| %s | %s | %s |\n", a.name, s.whose, a.by.name)
		}
	}
	tables.WriteString("\n## Not refused\n\n| what | why |\n|---|---|\n")
	for _, a := range notRefused {
		fmt.Fprintf(&tables, "| %s | %s |\n", a.name, a.why)
	}
	tables.WriteString("\n")
	if listed == tables.String() {
		return
	}
	if !*write {
		t.Fatalf("%s differs from the attempts; go test -tags integration ./integration/access -run ThePage -write", page)
	}
	if err := os.WriteFile(page, []byte(head+begin+tables.String()+end+tail), 0o600); err != nil {
		t.Fatal(err)
	}
}
