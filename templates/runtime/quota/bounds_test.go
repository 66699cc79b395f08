package quota

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

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
