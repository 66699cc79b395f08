package manager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apicalls"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/freshness"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpapi"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tracing"
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
	*process
}

// process is what there is once, however many managers it is seen through (see
// [Runtime.Through]).
type process struct {
	settings Settings
	election *leader.Election // nil without leader election
	webhooks *admission.Server
	http     *httpapi.Server
	healthz  checks
	readyz   checks
	startup  *startup        // over when the caches are filled
	stopping context.Context // ends when the process is asked to stop
	endStop  context.CancelCauseFunc
	cut      context.CancelCauseFunc // forbids all writing
	over     time.Time               // when Run must have returned, zero until it is asked to

	mu     sync.Mutex
	onStop []func(reason error) // nil once they have been called
}

// New makes a Runtime whose runnables get the values of ctx, the root context,
// but not its end: that is brought to them in the order described for the
// package. It fails if the settings contradict each other.
func New(ctx context.Context, cfg *rest.Config, o Options) (*Runtime, error) {
	settings, err := o.Settings.Complete()
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	r := &Runtime{process: &process{settings: settings, webhooks: admission.NewServer(settings.Webhook), startup: newStartup()}}
	if settings.LeaderElection {
		if r.election, err = leader.New(ctx, cfg, settings.Leader); err != nil {
			return nil, err
		}
		if cfg, err = r.election.Fence(cfg); err != nil {
			return nil, err
		}
	}
	if cfg, err = apicalls.Config(cfg); err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	base := r.election.Into(context.WithoutCancel(ctx))
	r.stopping, r.endStop = context.WithCancelCause(base)
	fence, cut := context.WithCancelCause(base)
	r.cut = cut
	base = budget.WithFence(base, fence)

	options := settings.managerOptions(o.Scheme)
	options.WebhookServer = r.webhooks
	options.BaseContext = func() context.Context { return base }
	if err := adjust(&options); err != nil {
		return nil, err
	}
	if o.Configure != nil {
		o.Configure(&options)
	}
	if options.LeaderElection {
		return nil, errors.New("manager: controller-runtime's leader election ends the process; use Settings.LeaderElection")
	}
	options.NewCache = r.startup.naming(options.NewCache)
	knowledge := &freshness.Keep{}
	options.NewCache = bounded(knowledge.Cache(options.NewCache))
	options.NewClient = knowledge.Client(options.NewClient)
	probed := options
	options.HealthProbeBindAddress = off // probes are served here
	if r.Manager, err = ctrl.NewManager(cfg, options); err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	if err := r.addProbes(ctx, probed); err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	if err := r.addHTTP(); err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	r.OnStop(func(error) { r.webhooks.Leave(); r.http.Leave() })
	return r, r.Add(started(r.startup.part()))
}

// addHTTP adds the HTTP API.
func (r *Runtime) addHTTP() error {
	options := httpapi.Options{Modes: r.election.HTTP}
	if s := r.settings.HTTP; s.Serves() && !s.Insecure {
		var err error
		if options.Admit, err = httpapi.Reviews(r.GetConfig(), r.GetHTTPClient(), s.TokenAudiences()...); err != nil {
			return err
		}
	}
	r.http = httpapi.New(r.settings.HTTP, options)
	return r.Add(r.http)
}

// Through returns the same process seen through another manager: one that hands out
// clients with fewer rights than m, which is r's own.
func (r *Runtime) Through(narrow func(m ctrl.Manager) ctrl.Manager) *Runtime {
	return &Runtime{Manager: narrow(r.Manager), process: r.process}
}

// HTTP returns the operator's HTTP API, to register routes with before Run.
func (r *Runtime) HTTP() *httpapi.Server { return r.http }

// Settings returns the completed settings.
func (r *Runtime) Settings() Settings { return r.settings }

// Election returns the election, which is nil, and as good as won, where there
// is none.
func (r *Runtime) Election() *leader.Election { return r.election }

// Gains returns a source that enqueues every object of list's kind each time
// this process becomes the leader, but those that one of except reports to need nothing.
func (r *Runtime) Gains(list client.ObjectList, except ...func(client.Object) bool) source.Source {
	return r.election.Gains(r.GetClient(), list, except...)
}

// Elected is closed when this process first leads: at once without leader
// election.
func (r *Runtime) Elected() <-chan struct{} {
	if r.election == nil {
		return r.Manager.Elected()
	}
	return r.election.Elected()
}

// Budget returns the time of one reconcile.
func (r *Runtime) Budget() budget.Reconcile { return r.settings.Budget() }

// Stopping returns a context that ends, with the cause, as soon as the process
// is asked to stop: before the runnables are.
func (r *Runtime) Stopping() context.Context { return r.stopping }

// OnStop has f called, with the cause, when the process is asked to stop, before
// anything is stopped because of it; at once if it has been asked already. f
// must not block.
func (r *Runtime) OnStop(f func(reason error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reason := context.Cause(r.stopping); reason != nil {
		f(reason)
		return
	}
	r.onStop = append(r.onStop, f)
}

// stop tells everyone. Only then may their contexts be ended, which would not
// give them the reason.
func (r *Runtime) stop(reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endStop(reason)
	for _, f := range r.onStop {
		f(reason)
	}
	r.onStop = nil
}

// Start is Run. It hides the embedded manager's own Start, which knows nothing
// of the order in which things end.
func (r *Runtime) Start(ctx context.Context) error { return r.Run(ctx) }

// Run runs the manager until ctx ends or a part of it fails. It returns nil
// after an orderly end, and at the latest ShutdownTimeout after the end of ctx.
// The process must exit when Run returns; a Runtime cannot be run again.
//
// Spans are sent as the environment says (see package tracing); what has not been
// sent by then is sent at the end, in the time that is left.
func (r *Runtime) Run(ctx context.Context) error {
	flush, err := tracing.Start(ctx)
	if err != nil {
		return err
	}
	err = r.serve(ctx)
	last, release := context.WithTimeoutCause(context.WithoutCancel(ctx), flushTime(r.over), cause.ShutdownEnded)
	defer release()
	if err := flush(last); err != nil {
		r.GetLogger().Info("The last spans are lost", "reason", err.Error())
	}
	return err
}

// flushTime is the time for sending the last spans of a process that must have
// ended by over, which is zero if it was not asked to.
func flushTime(over time.Time) time.Duration {
	const most = 2 * time.Second
	if over.IsZero() {
		return most
	}
	return min(most, time.Until(over))
}

// serve is Run without what it tells of itself.
func (r *Runtime) serve(ctx context.Context) error {
	defer r.cut(cause.ShutdownEnded)
	running, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	done := make(chan error, 1)
	go func() { done <- r.work(running) }()

	select {
	case err := <-done:
		return r.ended(err)
	case <-ctx.Done():
	}

	r.over = time.Now().Add(r.settings.ShutdownTimeout)
	over := time.NewTimer(r.settings.ShutdownTimeout)
	defer over.Stop()
	r.stop(cause.Shutdown)
	drained := time.NewTimer(r.settings.DrainDelay)
	defer drained.Stop()
	select {
	case err := <-done:
		return err
	case <-drained.C:
	}
	end(cause.Shutdown)
	select {
	case err := <-done:
		return err
	case <-over.C:
		return fmt.Errorf("shutdown took longer than %s: %w", r.settings.ShutdownTimeout, cause.ShutdownEnded)
	}
}

// work runs the manager, and competes for the lease from when the caches are
// filled until everything that works under it has ended.
func (r *Runtime) work(ctx context.Context) error {
	if r.election == nil {
		return r.Manager.Start(ctx)
	}
	electing, resign := context.WithCancel(context.WithoutCancel(ctx))
	defer resign()
	var candidacy sync.WaitGroup
	candidacy.Go(func() {
		select {
		case <-r.startup.done:
			r.election.Run(logr.NewContext(electing, r.GetLogger()))
		case <-electing.Done():
		}
	})
	err := r.Manager.Start(ctx)
	resign()
	candidacy.Wait()
	return err
}

// ended is the error of a manager that ended without being asked to.
func (r *Runtime) ended(err error) error {
	r.stop(cause.Shutdown)
	if err == nil {
		err = errors.New("manager ended by itself")
	}
	return err
}

// started is a runnable that tells when the manager has got as far as starting
// what needs filled caches: those of informers that were asked for before.
type started func()

// Start implements manager.Runnable.
func (s started) Start(context.Context) error {
	s()
	return nil
}

// NeedLeaderElection keeps readiness from depending on leadership.
func (started) NeedLeaderElection() bool { return false }
