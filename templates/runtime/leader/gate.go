package leader

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
)

// Gate is the link that makes observers of reconcilers: in a term the rest of
// the chain runs, with a context that ends with the term; outside of one
// observe runs instead, which must not write. Nothing is lost by that, as
// everything is enqueued when the next term begins (see [Election.Gains]).
func (e *Election) Gate(observe chain.Func) chain.Link {
	return func(next chain.Func) chain.Func {
		if e == nil {
			return next
		}
		return func(ctx context.Context, req reconcile.Request) error {
			term, leave, err := e.Join(ctx)
			if err != nil {
				return observe(ctx, req)
			}
			defer leave()
			return next(term, req)
		}
	}
}
