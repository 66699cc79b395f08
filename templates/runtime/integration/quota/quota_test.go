//go:build integration

package quota_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

const widgets = "widgets.test.ctxscaffold.dev"

// bound gives a tenant a quota of its own.
func bound(t *testing.T, name string, bounds quota.Bounds) *quota.TenantQuota {
	t.Helper()
	q := &quota.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: quota.TenantQuotaSpec{Bounds: bounds}}
	if err := plane.Client(t).Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	return q
}

// template makes a template for the tenants with a label.
func template(t *testing.T, name, label string, priority int32, count int64) *quota.Template {
	t.Helper()
	q := &quota.Template{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: quota.TemplateSpec{
		NamespaceSelector: metav1.LabelSelector{MatchLabels: map[string]string{label: "yes"}}, Priority: priority, Bounds: objects(count),
	}}
	if err := plane.Client(t).Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	return q
}

func objects(count int64) quota.Bounds {
	return quota.Bounds{Objects: map[string]int64{widgets: count}}
}

// condition returns a condition as status, reason and message.
func condition(t *testing.T, q *quota.TenantQuota, name string) string {
	t.Helper()
	if err := plane.Client(t).Get(t.Context(), client.ObjectKeyFromObject(q), q); err != nil {
		t.Fatal(err)
	}
	c := apimeta.FindStatusCondition(q.Status.Conditions, name)
	if c == nil || c.ObservedGeneration != q.Generation {
		return ""
	}
	return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
}

// says waits until a condition is as wanted.
func says(t *testing.T, q *quota.TenantQuota, name, want string) {
	t.Helper()
	cluster.Eventually(t, name, func() string {
		if got := condition(t, q, name); got != want {
			return fmt.Sprintf("%q, want %q", got, want)
		}
		return ""
	})
}

// keeps waits until the API server keeps a tenant to a number of widgets, -1 for none.
func keeps(t *testing.T, namespace string, want int64) {
	t.Helper()
	cluster.Eventually(t, "the quota of "+namespace, func() string {
		stored := &corev1.ResourceQuota{}
		err := plane.Client(t).Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: quota.Name(cluster.Group)}, stored)
		if apierrors.IsNotFound(err) && want < 0 {
			return ""
		}
		if err != nil {
			return err.Error()
		}
		hard := stored.Spec.Hard["count/"+widgets]
		if len(stored.Spec.Hard) != 1 || hard.Value() != want || len(stored.Spec.Scopes) > 0 {
			return fmt.Sprint(stored.Spec)
		}
		return ""
	})
}

// shows returns what the metric says of a tenant.
func shows(t *testing.T, namespace string) string {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, pair := range m.GetLabel() {
				labels[pair.GetName()] = pair.GetValue()
			}
			if family.GetName() == "operator_tenant_quota" && labels["namespace"] == namespace {
				values[labels["resource"]+" "+labels["type"]] = gauge(m)
			}
		}
	}
	return fmt.Sprint(values)
}

func gauge(m *dto.Metric) float64 { return m.GetGauge().GetValue() }

// events returns the reasons of what was told of a quota.
func events(t *testing.T, q *quota.TenantQuota) map[string]string {
	t.Helper()
	list := &eventsv1.EventList{}
	if err := plane.Client(t).List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, event := range list.Items {
		if event.Regarding.UID == q.UID {
			found[event.Reason] = event.Type + " " + event.Note
		}
	}
	return found
}

// TestTheQuotaIsExact has two processes create 200 objects at once, where there may be
// seven, while two replicas of the operator run.
func TestTheQuotaIsExact(t *testing.T) {
	const name, most = "exact", 7
	start(t, plane.Config, electing(name))
	start(t, plane.Config, electing(name))
	plane.MakeNamespace(t, name, "tenant=yes")
	q := bound(t, name, objects(most))
	says(t, q, quota.ConditionWithinQuota, "True WithinQuota: 0 of 7 "+widgets)
	says(t, q, reconciler.ConditionReady, "True Reconciled: ")

	got := race(t, name)
	if got.Created != most || len(got.Refused) != 2*each-most || len(got.Other) > 0 {
		t.Errorf("%d created, %d refused, others %q", got.Created, len(got.Refused), got.Other)
	}
	numbers := fmt.Sprintf("exceeded quota: %s, requested: count/%s=1, used: count/%s=7, limited: count/%s=7", quota.Name(cluster.Group), widgets, widgets, widgets)
	for _, message := range got.Refused {
		if !strings.Contains(message, numbers) {
			t.Errorf("refused with %q, want %q in it", message, numbers)
			break
		}
	}
	says(t, q, quota.ConditionWithinQuota, "False QuotaReached: no more can be created: 7 of 7 "+widgets)
	if !maps.Equal(q.Status.Hard, map[string]int64{widgets: 7}) || !maps.Equal(q.Status.Used, map[string]int64{widgets: 7}) {
		t.Errorf("status %+v", q.Status)
	}
	list := &runtimetest.WidgetList{}
	if err := plane.Client(t).List(t.Context(), list, client.InNamespace(name)); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != most {
		t.Errorf("%d widgets", len(list.Items))
	}
	cluster.Eventually(t, "the metric", func() string {
		if got := shows(t, name); got != "map["+widgets+" hard:7 "+widgets+" used:7]" {
			return got
		}
		return ""
	})
	cluster.Eventually(t, "the event", func() string {
		found := events(t, q)
		if found[quota.ReasonQuotaReached] != "Warning no more can be created: 7 of 7 "+widgets {
			return fmt.Sprint(found)
		}
		return ""
	})

	plane.Patch(t, q, map[string]any{"spec": objects(5)})
	says(t, q, quota.ConditionWithinQuota, "False QuotaExceeded: more than there may be: 7 of 5 "+widgets)
	plane.Patch(t, q, map[string]any{"spec": objects(most)})
	for i := range 2 { // each counted before the next, so that no count comes while there are creates
		if err := plane.Client(t).Delete(t.Context(), &list.Items[i]); err != nil {
			t.Fatal(err)
		}
		says(t, q, quota.ConditionWithinQuota, fmt.Sprintf("True WithinQuota: %d of 7 %s", 6-i, widgets))
	}
	for range 2 {
		if err := plane.Client(t).Create(t.Context(), widget(name, "again-")); err != nil {
			t.Error(err)
		}
	}
	if err := plane.Client(t).Create(t.Context(), widget(name, "over-")); !apierrors.IsForbidden(err) {
		t.Errorf("one over: %v", err)
	}
	says(t, q, quota.ConditionWithinQuota, "False QuotaReached: no more can be created: 7 of 7 "+widgets)
}

// TestTheResourceQuotaIsKept follows it through what may happen to it.
func TestTheResourceQuotaIsKept(t *testing.T) {
	const name = "kept"
	start(t, plane.Config, manager.Settings{})
	plane.MakeNamespace(t, name, "tenant=yes", "kept-small=yes", "kept-large=yes")
	keeps(t, name, -1)
	small := template(t, "kept-small", "kept-small", 1, 1)
	keeps(t, name, 1)
	large := template(t, "kept-large", "kept-large", 2, 2)
	keeps(t, name, 2)
	plane.Patch(t, small, map[string]any{"spec": map[string]any{"priority": 2}})
	keeps(t, name, 2) // the first by name
	plane.Patch(t, small, map[string]any{"spec": map[string]any{"priority": 3}})
	keeps(t, name, 1)
	q := bound(t, name, objects(3))
	keeps(t, name, 3)

	c := plane.Client(t)
	stored := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: quota.Name(cluster.Group)}}
	plane.Patch(t, stored, map[string]any{"spec": map[string]any{"hard": map[string]string{"count/" + widgets: "100"}}})
	keeps(t, name, 3)
	if err := c.Delete(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	keeps(t, name, 3)

	plane.Patch(t, q, map[string]any{"spec": map[string]any{"objects": nil}})
	keeps(t, name, -1)
	says(t, q, quota.ConditionWithinQuota, "True WithinQuota: objects are not counted")
	plane.Patch(t, q, map[string]any{"spec": objects(4)})
	keeps(t, name, 4)
	if err := c.Delete(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	keeps(t, name, 1) // the template's
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	label := func(name string, value any) {
		plane.Patch(t, ns, map[string]any{"metadata": map[string]any{"labels": map[string]any{name: value}}})
	}
	label("kept-small", nil)
	keeps(t, name, 2)
	label("tenant", "no")
	keeps(t, name, -1)
	cluster.Eventually(t, "the end of the metric", func() string {
		if got := shows(t, name); got != "map[]" {
			return got
		}
		return ""
	})
	q = bound(t, name, objects(3))
	says(t, q, reconciler.ConditionReady, "False NoTenant: namespace kept is no tenant")
	says(t, q, quota.ConditionWithinQuota, "Unknown NoTenant: namespace kept is no tenant")
	label("tenant", "yes")
	keeps(t, name, 3)
	says(t, q, reconciler.ConditionReady, "True Reconciled: ")
	if err := c.Delete(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	says(t, q, reconciler.ConditionReady, "False NoTenant: there is no namespace kept")
	if err := c.Delete(t.Context(), large); err != nil {
		t.Fatal(err)
	}
}

// TestAScopedQuotaIsReplaced is about one that somebody made under the name, and whose
// scope cannot be changed.
func TestAScopedQuotaIsReplaced(t *testing.T) {
	const name = "scoped"
	plane.MakeNamespace(t, name, "tenant=yes")
	foreign := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: quota.Name(cluster.Group)},
		Spec: corev1.ResourceQuotaSpec{
			Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeTerminating},
			Hard:   corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")},
		},
	}
	if err := plane.Client(t).Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	bound(t, name, objects(3))
	start(t, plane.Config, manager.Settings{})
	keeps(t, name, 3)
}

// TestAStatusThatIsWrongIsPutRight stands for a pass that wrote what it read of a cache
// which was behind: nothing but the status has changed since.
func TestAStatusThatIsWrongIsPutRight(t *testing.T) {
	const name = "wrong"
	plane.MakeNamespace(t, name, "tenant=yes")
	q := bound(t, name, objects(3))
	start(t, plane.Config, manager.Settings{})
	says(t, q, reconciler.ConditionReady, "True Reconciled: ")
	if err := plane.Client(t).Status().Patch(t.Context(), q, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"used":{"`+widgets+`":2}}}`))); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, "the count", func() string {
		if err := plane.Client(t).Get(t.Context(), client.ObjectKeyFromObject(q), q); err != nil {
			return err.Error()
		}
		if !maps.Equal(q.Status.Used, map[string]int64{widgets: 0}) {
			return fmt.Sprint(q.Status.Used)
		}
		return ""
	})
}

// TestTheAPIServerRefusesWhatCannotBeMeant is about the schemas of the CRDs.
func TestTheAPIServerRefusesWhatCannotBeMeant(t *testing.T) {
	c := client.NewDryRunClient(plane.Client(t))
	quantity := func(text string) quota.Bounds {
		return quota.Bounds{Limits: quota.Limits{CallsPerSecond: resource.MustParse(text)}}
	}
	for _, test := range []struct {
		name   string
		bounds quota.Bounds
		says   string
	}{
		{"a.b", objects(1), "the name is that of the namespace"},
		{"a", objects(-1), "should be greater than or equal to 0"},
		{"a", quota.Bounds{Objects: map[string]int64{"widgets": 1}}, "a resource in the plural and its group"},
		{"a", quota.Bounds{Objects: map[string]int64{"Widgets.test.dev": 1}}, "a resource in the plural and its group"},
		{"a", quantity("-1"), "callsPerSecond in body should match"},
		{"a", quota.Bounds{Limits: quota.Limits{Concurrency: -1}}, "should be greater than or equal to 0"},
		{"a", quota.Bounds{Limits: quota.Limits{Budget: metav1.Duration{Duration: -time.Second}}}, "budget in body should match"},
		{"a", quantity("0.5"), ""},
		{"a", quota.Bounds{Suspended: true, Objects: map[string]int64{widgets: 0}, Limits: quota.Limits{Budget: metav1.Duration{Duration: 90 * time.Second}}}, ""},
	} {
		err := c.Create(t.Context(), &quota.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: test.name}, Spec: quota.TenantQuotaSpec{Bounds: test.bounds}})
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s %+v: %v, want %q", test.name, test.bounds, err, test.says)
		}
	}
}

func TestATemplateThatSelectsNothingSaysSo(t *testing.T) {
	start(t, plane.Config, manager.Settings{})
	q := &quota.Template{ObjectMeta: metav1.ObjectMeta{Name: "odd"}, Spec: quota.TemplateSpec{
		NamespaceSelector: metav1.LabelSelector{MatchLabels: map[string]string{"not a label": "x"}},
	}}
	c := plane.Client(t)
	if err := c.Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, "the condition", func() string {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(q), q); err != nil {
			return err.Error()
		}
		ready := apimeta.FindStatusCondition(q.Status.Conditions, reconciler.ConditionReady)
		if ready == nil || ready.Status != metav1.ConditionFalse || ready.Reason != quota.ReasonInvalidSelector {
			return fmt.Sprint(q.Status.Conditions)
		}
		return ""
	})
	if err := c.Delete(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

// slow holds requests for TenantQuotas up until it is closed.
type slow struct {
	http.RoundTripper
	held  chan struct{}
	asked atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/tenantquotas") {
		s.asked.Store(true)
		<-s.held
	}
	return s.RoundTripper.RoundTrip(r)
}

// TestNoTenantIsWorkedForBeforeItsLimitsAreKnown starts an operator that learns of
// suspensions last.
func TestNoTenantIsWorkedForBeforeItsLimitsAreKnown(t *testing.T) {
	const suspended, other = "known-a", "known-b"
	for _, name := range []string{suspended, other} {
		plane.MakeNamespace(t, name, "tenant=yes")
		if err := plane.Client(t).Create(t.Context(), widget(name, "w-")); err != nil {
			t.Fatal(err)
		}
	}
	q := bound(t, suspended, quota.Bounds{Suspended: true})
	s := &slow{held: make(chan struct{})}
	cfg := rest.CopyConfig(plane.Config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		s.RoundTripper = next
		return s
	})
	o := start(t, cfg, manager.Settings{})
	cluster.Eventually(t, "the request", func() string {
		if !s.asked.Load() {
			return "not made"
		}
		return ""
	})
	time.Sleep(time.Second) // in which nothing must begin
	if o.passes(suspended)+o.passes(other) > 0 {
		t.Error("worked for tenants whose limits are not known")
	}
	close(s.held)
	worked(t, o, other)
	// The Set learns of namespaces in the order of their names.
	if _, _, err := o.sandboxes.Enter(t.Context(), client.ObjectKey{Namespace: suspended, Name: "x"}); err != error(cause.TenantSuspended) {
		t.Errorf("error %v, want %v", err, cause.TenantSuspended)
	}
	if o.passes(suspended) > 0 {
		t.Error("worked for a suspended tenant")
	}
	plane.Patch(t, q, map[string]any{"spec": map[string]any{"suspended": false}})
	worked(t, o, suspended)
}

// TestOnlyBoundedNamespacesAreTenants gives and takes bounds in each of the ways there are,
// where they make a tenant.
func TestOnlyBoundedNamespacesAreTenants(t *testing.T) {
	const name = "required"
	plane.MakeNamespace(t, name, "tenant=yes")
	c := plane.Client(t)
	if err := c.Create(t.Context(), widget(name, "w-")); err != nil {
		t.Fatal(err)
	}
	template(t, "required", "bound", 0, 9)
	o := startWith(t, plane.Config, manager.Settings{}, tenant.Settings{Selector: "tenant=yes", RequireQuota: true})
	enters := func(what string, want error) {
		t.Helper()
		cluster.Eventually(t, what, func() string {
			_, leave, err := o.sandboxes.Enter(t.Context(), client.ObjectKey{Namespace: name, Name: "x"})
			if err == nil {
				leave()
			}
			if !errors.Is(err, want) {
				return fmt.Sprint(err)
			}
			return ""
		})
	}
	comes := func(what string, happens func()) {
		t.Helper()
		before := o.passes(name)
		happens()
		enters(what, nil)
		cluster.Eventually(t, what, func() string {
			if o.passes(name) == before {
				return "no work"
			}
			return ""
		})
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	label := func(value any) {
		plane.Patch(t, namespace, map[string]any{"metadata": map[string]any{"labels": map[string]any{"bound": value}}})
	}

	enters("without bounds", cause.TenantGone)
	if o.passes(name) > 0 {
		t.Error("worked for what is no tenant")
	}
	var q *quota.TenantQuota
	comes("with a quota of its own, which bounds nothing", func() { q = bound(t, name, quota.Bounds{}) })
	if err := c.Delete(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	enters("when that is deleted", cause.TenantGone)
	comes("when a template selects it", func() { label("yes") })
	label(nil)
	enters("when none does any more", cause.TenantGone)
}

// TestAQuotaForWhatIsNotNamedSaysSo gives a quota where the operator's rights need not reach.
func TestAQuotaForWhatIsNotNamedSaysSo(t *testing.T) {
	plane.MakeNamespace(t, "named")
	plane.MakeNamespace(t, "unnamed")
	startWith(t, plane.Config, manager.Settings{}, tenant.Settings{Namespaces: "named"})
	says(t, bound(t, "named", objects(3)), reconciler.ConditionReady, "True Reconciled: ")
	says(t, bound(t, "unnamed", objects(3)), reconciler.ConditionReady, "False NoTenant: namespace unnamed is no tenant")
}

// TestAResourceThatDoesNotExistIsNotCounted bounds it beside one that does, whose bound is
// in force all the same.
func TestAResourceThatDoesNotExistIsNotCounted(t *testing.T) {
	const name, missing = "missing", "missing.test.ctxscaffold.dev"
	start(t, plane.Config, manager.Settings{})
	plane.MakeNamespace(t, name, "tenant=yes")
	q := bound(t, name, quota.Bounds{Objects: map[string]int64{widgets: 2, missing: 3}})
	says(t, q, quota.ConditionWithinQuota, "Unknown NotCounted: not counted: "+missing)
	says(t, q, reconciler.ConditionReady, "False NotCounted: the API server's quota controller has not counted "+missing+" yet")
	c := gather(t)
	c.namespace = name
	c.fill(t, 2)
	if got := c.has(t); got != 2 {
		t.Errorf("%d widgets", got)
	}
}

// worked waits until an operator has worked in a namespace.
func worked(t *testing.T, o *operator, namespace string) {
	t.Helper()
	cluster.Eventually(t, "work in "+namespace, func() string {
		if o.passes(namespace) == 0 {
			return "none"
		}
		return ""
	})
}

// TestALimitHoldsWhenLeadershipIsGained suspends a tenant while another replica leads.
func TestALimitHoldsWhenLeadershipIsGained(t *testing.T) {
	const suspended, other = "gained-a", "gained-b"
	template(t, "gained", "gained", 0, 9)
	for _, name := range []string{suspended, other} {
		plane.MakeNamespace(t, name, "tenant=yes", "gained=yes")
		if err := plane.Client(t).Create(t.Context(), widget(name, "w-")); err != nil {
			t.Fatal(err)
		}
	}
	thief, seconds, now := "thief", int32(3600), metav1.NowMicro()
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gained"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &thief, LeaseDurationSeconds: &seconds, RenewTime: &now, AcquireTime: &now},
	}
	c := plane.Client(t)
	if err := c.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	o := start(t, plane.Config, electing("gained"))
	enter := func(namespace string) string {
		_, leave, err := o.sandboxes.Enter(t.Context(), client.ObjectKey{Namespace: namespace, Name: "x"})
		if err != nil {
			return err.Error()
		}
		leave()
		return ""
	}
	cluster.Eventually(t, "a tenant", func() string { return enter(suspended) })
	q := bound(t, suspended, quota.Bounds{Suspended: true})
	cluster.Eventually(t, "its suspension", func() string {
		if got := enter(suspended); got != cause.TenantSuspended.Error() {
			return fmt.Sprintf("%q", got) // not empty, which would be as wanted
		}
		return ""
	})
	if got := condition(t, q, reconciler.ConditionReady); got != "" {
		t.Errorf("an observer writes %q", got)
	}
	keeps(t, other, -1)
	seconds = 1
	lease.Spec.LeaseDurationSeconds = &seconds
	if err := c.Update(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	worked(t, o, other)
	says(t, q, reconciler.ConditionReady, "True Reconciled: ")
	keeps(t, other, 9)
	if o.passes(suspended) > 0 {
		t.Error("worked for a suspended tenant")
	}
}
