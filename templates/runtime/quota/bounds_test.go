package quota

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

// template returns one that selects namespaces with the label.
func template(name string, priority int32, label string) Template {
	return Template{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: TemplateSpec{
		Priority: priority, NamespaceSelector: metav1.LabelSelector{MatchLabels: map[string]string{label: "yes"}},
	}}
}

func TestWhichTemplateCounts(t *testing.T) {
	everything := Template{ObjectMeta: metav1.ObjectMeta{Name: "everything"}}
	odd := template("odd", 9, "no label")
	going := template("going", 9, "a")
	going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	for _, test := range []struct {
		templates []Template
		want      string
	}{
		{nil, ""},
		{[]Template{template("x", 1, "b")}, ""},
		{[]Template{everything, template("x", -1, "a")}, "everything"},
		{[]Template{everything, template("x", 1, "a")}, "x"},
		{[]Template{template("y", 1, "a"), template("x", 1, "a")}, "x"},
		{[]Template{template("x", 1, "a"), template("y", 1, "a")}, "x"},
		{[]Template{odd, going, everything}, "everything"},
	} {
		got := ""
		if chosen := choose(test.templates, labels.Set{"a": "yes"}); chosen != nil {
			got = chosen.Name
		}
		if got != test.want {
			t.Errorf("of %d templates %q counts, want %q", len(test.templates), got, test.want)
		}
	}
}

// shelf is a cache with a namespace, the own quota of a tenant, which may be nil, and
// templates.
type shelf struct {
	client.Reader
	namespace *metav1.PartialObjectMetadata
	own       *TenantQuota
	templates []Template
	read      func() // called when the own quota has been read, if it is not nil
}

// Get implements client.Reader.
func (s *shelf) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	if namespace, ok := obj.(*metav1.PartialObjectMetadata); ok {
		s.namespace.DeepCopyInto(namespace)
		return nil
	}
	own := s.own
	if s.read != nil {
		s.read()
	}
	if own == nil {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	own.DeepCopyInto(obj.(*TenantQuota))
	return nil
}

// List implements client.Reader.
func (s *shelf) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*TemplateList).Items = s.templates
	return nil
}

func calls(perSecond int64) Bounds {
	return Bounds{Limits: Limits{CallsPerSecond: *resource.NewQuantity(perSecond, resource.DecimalSI)}}
}

// TestTheOrderInWhichBoundsCount takes away what counts, one after the other.
func TestTheOrderInWhichBoundsCount(t *testing.T) {
	own := func() *TenantQuota { return &TenantQuota{Spec: TenantQuotaSpec{Bounds: calls(5)}} }
	going := own()
	going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	high, first, second := template("z-high", 9, "a"), template("first", 1, "a"), template("second", 1, "a")
	high.Spec.Bounds, first.Spec.Bounds, second.Spec.Bounds = calls(4), calls(3), calls(2)
	namespace := &metav1.ObjectMeta{Name: "t", Labels: map[string]string{"a": "yes"}}
	for name, test := range map[string]struct {
		shelf     shelf
		namespace metav1.Object
		want      int64
	}{
		"its own":                          {shelf{own: own(), templates: []Template{second, high, first}}, namespace, 5},
		"its own, which has no bounds":     {shelf{own: &TenantQuota{}, templates: []Template{second, high, first}}, namespace, 0},
		"its own, which is being deleted":  {shelf{own: going, templates: []Template{second, high, first}}, namespace, 4},
		"the priority, then the name":      {shelf{templates: []Template{second, high, first}}, namespace, 4},
		"the name, of one priority":        {shelf{templates: []Template{second, first}}, namespace, 3},
		"what is left":                     {shelf{templates: []Template{second}}, namespace, 2},
		"nothing":                          {shelf{}, namespace, 0},
		"its own, without a namespace":     {shelf{own: own(), templates: []Template{high}}, nil, 5},
		"no template, without a namespace": {shelf{templates: []Template{high}}, nil, 0},
	} {
		r := &rules{cache: &test.shelf, tenants: tenant.New(t.Context())}
		got, err := r.enforce(t.Context(), "t", test.namespace)
		if err != nil || got.Limits.CallsPerSecond.Value() != test.want {
			t.Errorf("%s: %v calls per second, error %v, want %d", name, got.Limits.CallsPerSecond.Value(), err, test.want)
		}
	}
}

// TestAnOlderReadingIsNotPutInForceAfterANewerOne has a pass read that a tenant may work, and
// another begin, which reads that it is suspended, before the first has put that in force.
func TestAnOlderReadingIsNotPutInForceAfterANewerOne(t *testing.T) {
	tenants := tenant.New(t.Context())
	tenants.Put(tenant.Namespace{Name: "t", UID: "uid"})
	sandboxes := tenants.Sandboxes(tenant.Kind{Name: t.Name(), Workers: 2})
	cache := &shelf{own: &TenantQuota{}}
	r := &rules{cache: cache, tenants: tenants}
	newer := make(chan error, 1)
	var begun atomic.Bool
	cache.read = func() {
		if begun.Swap(true) {
			return
		}
		cache.own = &TenantQuota{Spec: TenantQuotaSpec{Bounds: Bounds{Suspended: true}}}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := r.enforce(t.Context(), "t", nil)
			newer <- err
		}()
		select {
		case <-done: // it did not wait
		case <-time.After(100 * time.Millisecond): // it waits for this one, as it must
		}
	}
	if _, err := r.enforce(t.Context(), "t", nil); err != nil {
		t.Error(err)
	}
	if err := <-newer; err != nil {
		t.Error(err)
	}
	_, _, err := sandboxes.Enter(t.Context(), client.ObjectKey{Namespace: "t", Name: "x"})
	if err != error(cause.TenantSuspended) {
		t.Errorf("error %v, want %v", err, cause.TenantSuspended)
	}
}

func TestWhatBecomesOfLimits(t *testing.T) {
	bounds := Bounds{Suspended: true, Limits: Limits{
		Concurrency: 3, ReconcilesPerSecond: resource.MustParse("0.5"),
		Budget: metav1.Duration{Duration: time.Minute}, CallsPerSecond: resource.MustParse("7"),
	}}
	want := tenant.Quota{Suspended: true, Limits: tenant.Limits{Concurrency: 3, Rate: 0.5, Budget: time.Minute, Calls: 7}}
	if got := bounds.quota(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := (Bounds{}).quota(); got != (tenant.Quota{}) {
		t.Errorf("no bounds make %+v", got)
	}
}

func TestASelectorThatCannotBeReadIsTerminal(t *testing.T) {
	odd := template("odd", 0, "no label")
	err := templates{}.ReconcileKind(t.Context(), &odd)
	if reason, _ := requeue.Reason(err); !requeue.IsTerminal(err) || reason != ReasonInvalidSelector {
		t.Errorf("error %v, reason %q", err, reason)
	}
	fine := template("fine", 0, "a")
	if err := (templates{}).ReconcileKind(t.Context(), &fine); err != nil {
		t.Error(err)
	}
}
