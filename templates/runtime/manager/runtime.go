package manager

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Options are what New needs beside the settings.
type Options struct {
	// Scheme knows every type the operator reads or writes.
	Scheme *runtime.Scheme
	// Settings are completed by New.
	Settings Settings
	// Configure may change controller-runtime's options after they are filled
	// from Settings and before they are used, for whatever has no setting here.
	Configure func(*ctrl.Options)
}

// Runtime is a controller-runtime manager with an orderly end. It embeds the
// manager, so it goes wherever a ctrl.Manager is asked for, and its client,
// scheme, cache and recorders are read from it as usual.
type Runtime struct {
	ctrl.Manager

	settings Settings
	stopping context.Context // ended when the process is asked to stop
	stop     context.CancelCauseFunc
	fence    context.Context // ended when nothing may be written any more
	cut      context.CancelCauseFunc
}

// New makes a Runtime whose runnables get the values of ctx, the root context,
// but not its end: that is brought to them in the order described for the
// package. The settings must not contradict each other.
func New(ctx context.Context, cfg *rest.Config, o Options) (*Runtime, error) {
	settings, err := o.Settings.Complete()
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	r := &Runtime{settings: settings}
	base := context.WithoutCancel(ctx)
	r.stopping, r.stop = context.WithCancelCause(base)
	r.fence, r.cut = context.WithCancelCause(base)

	options := managerOptions(settings, o.Scheme)
	options.BaseContext = func() context.Context { return budget.WithFence(base, r.fence) }
	if o.Configure != nil {
		o.Configure(&options)
	}
	if r.Manager, err = ctrl.NewManager(cfg, options); err != nil {
		return nil, err
	}
	if err := r.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	if err := r.AddReadyzCheck("stopping", r.ready); err != nil {
		return nil, err
	}
	return r, nil
}

// Settings returns the completed settings.
func (r *Runtime) Settings() Settings { return r.settings }

// Budget returns the time of one reconcile.
func (r *Runtime) Budget() budget.Reconcile { return r.settings.Budget() }

// Stopping returns a context that ends, with the cause, as soon as the process
// is asked to stop: before the runnables are.
func (r *Runtime) Stopping() context.Context { return r.stopping }

// Start is Run. It hides the embedded manager's own Start, which knows nothing
// of the shutdown budget.
func (r *Runtime) Start(ctx context.Context) error { return r.Run(ctx) }

// Run runs the manager until ctx ends or a part of it fails. It returns nil
// after an orderly end, and at the latest ShutdownTimeout after ctx ended.
func (r *Runtime) Run(ctx context.Context) error {
	defer r.cut(cause.ShutdownEnded)
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	go func() {
		<-ctx.Done()
		r.stop(cause.Shutdown)
		time.Sleep(r.settings.DrainDelay)
		end()
	}()
	return r.Manager.Start(running)
}
