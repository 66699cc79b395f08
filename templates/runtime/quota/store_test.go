package quota

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

const ours = "ours"

// plane is an API server with one namespace, whose readers are late: what each has seen is
// a number of versions of the quota, of which the first is none.
type plane struct {
	client.Client
	versions  []*corev1.ResourceQuota
	admission int
	cache     int   // the operator's own
	refuses   error // what else is said to a create, before quotas
	asked     int
	requests  int
}

func newPlane() *plane { return &plane{versions: []*corev1.ResourceQuota{nil}} }

// stored returns the quota as the operator sees it, and latest as it is.
func (p *plane) stored() *corev1.ResourceQuota { return p.versions[p.cache].DeepCopy() }
func (p *plane) latest() *corev1.ResourceQuota { return p.versions[len(p.versions)-1].DeepCopy() }

// write adds a version.
func (p *plane) write(quota *corev1.ResourceQuota) {
	if quota != nil {
		quota.ResourceVersion = strconv.Itoa(len(p.versions))
	}
	p.versions = append(p.versions, quota)
}

// count does what the quota controller does.
func (p *plane) count() {
	quota := p.latest()
	if quota == nil || maps.Equal(quota.Spec.Hard, quota.Status.Hard) {
		return
	}
	quota.Status.Hard = quota.Spec.Hard.DeepCopy()
	quota.Status.Used = corev1.ResourceList{}
	for name := range quota.Spec.Hard {
		quota.Status.Used[name] = resource.MustParse("1")
	}
	p.write(quota)
}

// catchUp has every reader see all, and the quota controller count.
func (p *plane) catchUp() {
	p.count()
	p.cache, p.admission = len(p.versions)-1, len(p.versions)-1
}

// Apply implements client.Client.
func (p *plane) Apply(_ context.Context, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	p.requests++
	options := (&client.ApplyOptions{}).ApplyOptions(opts)
	applied := obj.(*applycore.ResourceQuotaApplyConfiguration)
	gr := schema.GroupResource{Resource: "resourcequotas"}
	if len(options.DryRun) > 0 {
		p.asked++
		if p.refuses != nil {
			return p.refuses
		}
		if seen := p.versions[p.admission]; seen != nil {
			if limit, bound := seen.Status.Hard[probe]; bound && limit.IsZero() {
				return apierrors.NewForbidden(gr, *applied.Name, fmt.Errorf("exceeded quota: %s, requested: %s=1", seen.Name, probe))
			}
		}
		return nil
	}
	quota := p.latest()
	if quota == nil {
		quota = &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: *applied.Name, Namespace: *applied.Namespace}}
	}
	if !maps.Equal(quota.Spec.Hard, *applied.Spec.Hard) {
		p.manage(quota, *applied.Spec.Hard)
		p.write(quota)
	}
	return nil
}

// manage replaces the bounds that the operator has in a quota, as its managed fields say.
func (p *plane) manage(quota *corev1.ResourceQuota, bounds corev1.ResourceList) {
	k := &keeper{name: ours}
	maps.DeleteFunc(quota.Spec.Hard, func(name corev1.ResourceName, _ resource.Quantity) bool { return k.owns(quota, name) })
	if quota.Spec.Hard == nil {
		quota.Spec.Hard = corev1.ResourceList{}
	}
	maps.Copy(quota.Spec.Hard, bounds)
	fields := map[string]struct{}{}
	for name := range bounds {
		fields["f:"+string(name)] = struct{}{}
	}
	text, _ := json.Marshal(map[string]any{"f:spec": map[string]any{"f:hard": fields}})
	quota.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: ours, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(string(text))}}
}

// Get implements client.Reader.
func (p *plane) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	p.requests++
	return read(p.latest(), key, obj)
}

func read(quota *corev1.ResourceQuota, key client.ObjectKey, obj client.Object) error {
	if quota == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "resourcequotas"}, key.Name)
	}
	quota.DeepCopyInto(obj.(*corev1.ResourceQuota))
	return nil
}

// Delete implements client.Client.
func (p *plane) Delete(context.Context, client.Object, ...client.DeleteOption) error {
	p.requests++
	if p.latest() != nil {
		p.write(nil)
	}
	return nil
}

// copies is the operator's cache of quotas.
type copies struct {
	cache.Cache
	plane *plane
}

// Get implements client.Reader.
func (c copies) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	return read(c.plane.stored(), key, obj)
}

// pass is one of the keeper's, which says what it waits for.
func (p *plane) pass(t *testing.T, bounds map[string]int64) string {
	t.Helper()
	k := &keeper{name: ours, client: p, live: p}
	err := k.store(t.Context(), "t", tenancy{bounds: Bounds{Objects: bounds}, stored: p.stored()})
	if later, ok := requeue.AsLater(err); ok {
		return later.Reason()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// hard is what a quota bounds, as text.
func hard(quota *corev1.ResourceQuota) string {
	if quota == nil {
		return "none"
	}
	var bounds []string
	for name, count := range quota.Spec.Hard {
		bounds = append(bounds, strings.TrimPrefix(string(name), "count/")+"="+count.String())
	}
	slices.Sort(bounds)
	return strings.Join(bounds, " ")
}

// TestAQuotaIsHeldUntilAdmissionRefuses has one reader after the other catch up.
func TestAQuotaIsHeldUntilAdmissionRefuses(t *testing.T) {
	p := newPlane()
	for i, step := range []struct {
		bounds map[string]int64
		happen func()
		says   string
		hard   string
	}{
		{map[string]int64{"a": 7}, func() {}, "", "a=0 resourcequotas=0"},
		{map[string]int64{"a": 7}, func() {}, ReasonNotCounted, "a=0 resourcequotas=0"}, // its own cache is late
		{map[string]int64{"a": 7}, p.count, ReasonNotEnforced, "a=0 resourcequotas=0"},
		{map[string]int64{"a": 7}, func() { p.admission++ }, ReasonNotEnforced, "a=0 resourcequotas=0"}, // without its status
		{map[string]int64{"a": 7}, func() { p.admission++ }, "", "a=7"},
		{map[string]int64{"a": 7}, func() {}, "", "a=7"},
		{map[string]int64{"a": 5}, func() {}, ReasonNotCounted, "a=7"},
		{map[string]int64{"a": 5}, p.count, ReasonNotEnforced, "a=7"}, // it refuses still
		{map[string]int64{"a": 5}, p.catchUp, "", "a=0 resourcequotas=0"},
		{map[string]int64{"a": 5, "b": 1}, p.catchUp, "", "a=0 b=0"},
		{map[string]int64{"a": 5, "b": 1}, p.catchUp, "", "a=0 b=0 resourcequotas=0"},
		{map[string]int64{"a": 5, "b": 1}, p.catchUp, "", "a=5 b=1"},
		{nil, p.catchUp, "", "none"},
		{map[string]int64{"a": 5}, func() { p.cache = len(p.versions) - 1 }, "", "a=0 resourcequotas=0"},
		{nil, func() { p.count(); p.cache = len(p.versions) - 1 }, ReasonNotEnforced, "a=0 resourcequotas=0"},
		{nil, p.catchUp, "", "none"},
	} {
		step.happen()
		if got := p.pass(t, step.bounds); got != step.says || hard(p.latest()) != step.hard {
			t.Fatalf("step %d: %q with %s, want %q with %s", i, got, hard(p.latest()), step.says, step.hard)
		}
	}
}

// TestALateCacheIsNeverLaxer tries orders of all that may happen: bounds that are in the
// quota for good are known to admission, however late it is.
func TestALateCacheIsNeverLaxer(t *testing.T) {
	choices := []map[string]int64{nil, {"a": 7}, {"a": 5}, {"b": 3}, {"a": 2, "b": 2}}
	reached := 0
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		p, bounds := newPlane(), choices[1]
		var done []string
		for range 60 {
			what := []string{"pass", "pass", "count", "admission", "cache", "bounds"}[random.IntN(6)]
			switch what {
			case "pass":
				p.pass(t, bounds)
			case "count":
				p.count()
			case "admission":
				p.admission = min(p.admission+1, len(p.versions)-1)
			case "cache":
				p.cache = min(p.cache+1, len(p.versions)-1)
			case "bounds":
				if random.IntN(4) == 0 {
					bounds = choices[random.IntN(len(choices))]
				}
			}
			done = append(done, what+": "+hard(p.latest()))
			quota := p.latest()
			if quota == nil {
				continue
			}
			for name, count := range quota.Spec.Hard {
				if count.IsZero() {
					continue
				}
				reached++
				if seen := p.versions[p.admission]; seen == nil || !slices.Contains(slices.Collect(maps.Keys(seen.Status.Hard)), name) {
					t.Fatalf("seed %d: %s is bounded, and admission does not know:\n%s", seed, name, strings.Join(done, "\n"))
				}
			}
		}
	}
	if reached == 0 {
		t.Error("no quota came into force")
	}
}

// TestOnlyAnAnswerAboutTheQuotaCounts has other reasons to refuse the probe.
func TestOnlyAnAnswerAboutTheQuotaCounts(t *testing.T) {
	forbidden := func(why string) *apierrors.StatusError {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "resourcequotas"}, "x", errors.New(why))
	}
	ending := forbidden("the namespace is being terminated")
	ending.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for _, test := range []struct {
		refuses error
		says    string
		hard    string
	}{
		{ending, "", "a=7"}, // which refuses all
		{forbidden("exceeded quota: ours, requested: x=1"), "", "a=7"},
		{forbidden("exceeded quota: ours-too, requested: x=1"), ReasonNotEnforced, "a=0 resourcequotas=0"},
		{forbidden("by a policy"), `ask for a resource quota: resourcequotas "x" is forbidden: by a policy`, "a=0 resourcequotas=0"},
		{errors.New("timeout"), "ask for a resource quota: timeout", "a=0 resourcequotas=0"},
	} {
		p, bounds := newPlane(), map[string]int64{"a": 7}
		p.pass(t, bounds)
		p.catchUp()
		p.refuses = test.refuses
		if got := p.pass(t, bounds); got != test.says || hard(p.latest()) != test.hard {
			t.Errorf("%v: %q with %s, want %q with %s", test.refuses, got, hard(p.latest()), test.says, test.hard)
		}
	}
}

// TestAQuotaInForceCostsNothing is about the pass that each create of a tenant causes.
func TestAQuotaInForceCostsNothing(t *testing.T) {
	p, bounds := newPlane(), map[string]int64{"a": 7}
	for range 3 {
		p.pass(t, bounds)
		p.catchUp()
	}
	before := p.requests
	p.pass(t, bounds)
	if hard(p.latest()) != "a=7" || p.requests != before {
		t.Errorf("%s after %d requests", hard(p.latest()), p.requests-before)
	}
}

// TestABoundThatIsNotWantedAnyMore is one of the operator's; somebody else's stays.
func TestABoundThatIsNotWantedAnyMore(t *testing.T) {
	p := newPlane()
	for range 3 {
		p.pass(t, map[string]int64{"a": 7, "b": 2})
		p.catchUp()
	}
	quota := p.latest()
	quota.Spec.Hard["c"], quota.Spec.Hard[probe] = resource.MustParse("9"), resource.MustParse("9")
	p.write(quota)
	p.catchUp()
	for _, want := range []string{"a=0 c=9 resourcequotas=0", "a=7 c=9", "a=7 c=9"} {
		if got := p.pass(t, map[string]int64{"a": 7}); got != "" || hard(p.latest()) != want {
			t.Errorf("%q with %s, want %s", got, hard(p.latest()), want)
		}
		p.catchUp()
	}
}

// TestABoundOfSomebodyElseIsNoHold has somebody bound what a held quota refuses.
func TestABoundOfSomebodyElseIsNoHold(t *testing.T) {
	p, bounds := newPlane(), map[string]int64{"a": 7}
	for range 3 {
		p.pass(t, bounds)
		p.catchUp()
	}
	quota := p.latest()
	quota.Spec.Hard[probe] = resource.MustParse("9")
	p.write(quota)
	p.catchUp()
	if got := p.pass(t, bounds); got != "" || hard(p.latest()) != "a=7 resourcequotas=9" {
		t.Errorf("%q with %s", got, hard(p.latest()))
	}
}

// TestReadyWaitsForAdmission has the bounds stored and counted, while admission still holds.
func TestReadyWaitsForAdmission(t *testing.T) {
	p := newPlane()
	own := &TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: "t", Generation: 2}, Spec: TenantQuotaSpec{Bounds: Bounds{Objects: map[string]int64{"a": 7}}}}
	k := &keeper{
		rules: rules{cache: &shelf{namespace: &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "t"}}, own: own}, tenants: tenant.New(t.Context())},
		name:  ours, quotas: copies{plane: p}, client: p, live: p, recorder: events.NewFakeRecorder(9),
	}
	says := func() string {
		err := k.ReconcileKind(t.Context(), own)
		if later, ok := requeue.AsLater(err); ok {
			return later.Reason()
		}
		if err != nil {
			return err.Error()
		}
		return ""
	}
	for hard(p.latest()) != "a=7" {
		if got := says(); got != ReasonNotCounted {
			t.Fatalf("%q with %s", got, hard(p.latest()))
		}
		p.catchUp()
	}
	p.catchUp()
	latest := p.admission
	holding := latest - 2
	for _, test := range []struct {
		ready *metav1.Condition
		seen  int
		says  string
		asks  int
	}{
		{nil, holding, ReasonNotEnforced, 1},
		{nil, latest, "", 1},
		{&metav1.Condition{Status: metav1.ConditionTrue, ObservedGeneration: 1}, holding, ReasonNotEnforced, 1},
		{&metav1.Condition{Status: metav1.ConditionFalse, ObservedGeneration: 2}, holding, ReasonNotEnforced, 1},
		{&metav1.Condition{Status: metav1.ConditionTrue, ObservedGeneration: 2}, holding, "", 0},
	} {
		own.Status.Conditions = nil
		if test.ready != nil {
			test.ready.Type = reconciler.ConditionReady
			own.Status.Conditions = []metav1.Condition{*test.ready}
		}
		p.admission = test.seen
		asked := p.asked
		if got := says(); got != test.says || p.asked != asked+test.asks {
			t.Errorf("%+v: %q after %d questions", test.ready, got, p.asked-asked)
		}
	}
}

func TestWhoseABoundIs(t *testing.T) {
	k := &keeper{name: ours}
	entry := func(manager string, operation metav1.ManagedFieldsOperationType) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:hard":{"f:count/a":{}}}}`)}
	}
	apply, update := metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	for name, test := range map[string]struct {
		entries []metav1.ManagedFieldsEntry
		name    corev1.ResourceName
		ours    bool
	}{
		"ours":                      {[]metav1.ManagedFieldsEntry{entry("kubectl", apply), entry(ours, apply)}, "count/a", true},
		"another of ours":           {[]metav1.ManagedFieldsEntry{entry(ours, apply)}, "count/b", false},
		"one that begins like ours": {[]metav1.ManagedFieldsEntry{entry(ours, apply)}, "count/", false},
		"somebody else's":           {[]metav1.ManagedFieldsEntry{entry("kubectl", apply)}, "count/a", false},
		"changed since":             {[]metav1.ManagedFieldsEntry{entry(ours, update)}, "count/a", false},
		"of which nothing is known": {nil, "count/a", false},
	} {
		if got := k.owns(&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{ManagedFields: test.entries}}, test.name); got != test.ours {
			t.Errorf("%s: %t", name, got)
		}
	}
}
