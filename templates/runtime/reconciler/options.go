package reconciler

import (
	"cmp"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// OptionsConfigurer is implemented by reconcilers that want other controller
// options, such as a rate limiter, workers or a queue of their own.
type OptionsConfigurer interface {
	// ConfigureOptions changes o, in which the runtime has set what it has to say
	// for the kind. What is zero has the manager's default.
	ConfigureOptions(o *controller.Options)
}

// Predicated is implemented by reconcilers that do not want a pass for every event
// of their kind.
type Predicated interface {
	// Predicates is read once, at set-up. An event of the kind's own objects that
	// one of them filters out causes no pass and interrupts none, even if it is a
	// deletion that FinalizeKind waits for.
	Predicates() []predicate.Predicate
}

// predicates are the user's, for the events of the kind.
func (l *Loop[T]) predicates() []predicate.Predicate {
	if p, ok := l.user.(Predicated); ok {
		return p.Predicates()
	}
	return nil
}

// filters are what the events of the kind's own objects have to pass, where the user
// wants some.
func (l *Loop[T]) filters(wanted []predicate.Predicate) []predicate.Predicate {
	// First, as the user's may keep a deletion from those that follow.
	forgetting := predicate.Funcs{DeleteFunc: func(e event.DeleteEvent) bool {
		l.memories.forget(client.ObjectKeyFromObject(e.Object)) // whether there is a pass or, as an observer, none
		return true
	}}
	return append(append([]predicate.Predicate{forgetting}, wanted...), l.relevance())
}

// options returns the controller's options, where the manager's own are these, and
// whether there is anything in them. A pass that may take longer than others has a
// later backstop.
func (l *Loop[T]) options(defaults config.Controller) (o controller.Options, own bool, err error) {
	o = l.controllerOptions()
	if l.budget.Total > defaults.ReconciliationTimeout && defaults.ReconciliationTimeout > 0 {
		o.ReconciliationTimeout, own = l.budget.Total, true
	}
	if c, ok := l.user.(OptionsConfigurer); ok {
		c.ConfigureOptions(&o)
		own = true
	}
	if n := l.kind.Workers; n > 0 && o.MaxConcurrentReconciles != n {
		return o, own, fmt.Errorf("ConfigureOptions has %d workers, but the process counts on %d; leave MaxConcurrentReconciles as it is", o.MaxConcurrentReconciles, n)
	}
	return o, own || l.kind.Workers > 0 || l.period > 0, nil
}

// keeping returns a manager that takes a controller with the options o, and none
// whose builder had them replaced by others.
func keeping(mgr manager.Manager, o *controller.Options) manager.Manager {
	need := *cmp.Or(o.NeedLeaderElection, mgr.GetControllerOptions().NeedLeaderElection, new(true))
	o.NeedLeaderElection = &need
	return keeper{mgr, &need}
}

type keeper struct {
	manager.Manager
	need *bool // the controller that points to it has the options
}

var errDiscarded = errors.New("WithOptions in Configure would discard the options that the runtime has set; " +
	"change them in a method ConfigureOptions(*controller.Options) instead")

// Add implements manager.Manager. A builder does not tell its options, but a
// controller answers by what they point to.
func (k keeper) Add(r manager.Runnable) error {
	c, ok := r.(manager.LeaderElectionRunnable)
	if !ok {
		return errDiscarded
	}
	before := c.NeedLeaderElection()
	*k.need = !*k.need
	has := c.NeedLeaderElection() != before
	*k.need = !*k.need
	if !has {
		return errDiscarded
	}
	return k.Manager.Add(r)
}
