package quota

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/requeue"
)

// ReasonInvalidSelector is why a template selects nothing.
const ReasonInvalidSelector = "InvalidSelector"

// templates tells of each QuotaTemplate whether it can be followed. What follows from it
// is the keeper's.
type templates struct{}

// ReconcileKind implements reconciler.Interface.
func (templates) ReconcileKind(_ context.Context, t *Template) error {
	_, err := metav1.LabelSelectorAsSelector(&t.Spec.NamespaceSelector)
	return requeue.Terminal(requeue.Because(ReasonInvalidSelector, err))
}
