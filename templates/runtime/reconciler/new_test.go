package reconciler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

type periodic struct {
	user
	every time.Duration
}

func (p periodic) Every() time.Duration { return p.every }

type budgeted struct {
	user
	budget budget.Reconcile
}

func (b budgeted) Budget() budget.Reconcile { return b.budget }

func TestNewRefusesWhatCannotBeKept(t *testing.T) {
	tests := map[string]struct {
		change func(*reconciler.Kind[*widget])
		user   reconciler.Interface[*widget]
		want   string
	}{
		"no name":                     {change: func(k *reconciler.Kind[*widget]) { k.Name = "" }, want: "Name is empty"},
		"no constructor":              {change: func(k *reconciler.Kind[*widget]) { k.New = nil }, want: "New is nil"},
		"conditions outside a status": {change: func(k *reconciler.Kind[*widget]) { k.Status = nil }, want: "need Status"},
		"finalizer without a name": {
			change: func(k *reconciler.Kind[*widget]) { k.Finalizer = "" }, user: finalizing{}, want: "FinalizeKind needs Kind.Finalizer",
		},
		"negative period": {user: periodic{every: -time.Second}, want: "Every() returns -1s"},
		"reserve over the limit": {
			user: budgeted{budget: budget.Reconcile{Total: time.Minute, Reserve: limit.Total}}, want: "raise --reconcile-timeout",
		},
		"budget without a reserve": {user: budgeted{budget: budget.Reconcile{Total: time.Second}}, want: "reserve 0s must be positive"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := kind()
			if test.change != nil {
				test.change(&k)
			}
			if test.user == nil {
				test.user = user(succeed)
			}
			_, err := reconciler.New(runtimetest.NewProcess(limit), k, test.user)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one about %q", err, test.want)
			}
		})
	}
}
