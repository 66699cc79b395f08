package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// off is the address of a server that is not wanted.
const off = "0"

// Timeouts of the probes' server, those of controller-runtime's own.
const (
	headerTimeout = 32 * time.Second
	idleTimeout   = 90 * time.Second
)

// checks are what a probe looks at, by name. controller-runtime's own cannot be
// used, as it has no word for a process that is ready in two modes.
type checks struct {
	mu     sync.Mutex
	byName map[string]healthz.Checker
	more   func() map[string]healthz.Checker // checks of the moment; nil for none
}

func (c *checks) add(name string, check healthz.Checker) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = map[string]healthz.Checker{}
	}
	c.byName[name] = check
	return nil
}

// ServeHTTP answers as controller-runtime does: the sum of the checks, each by
// name with ?verbose, one of them under its name.
func (c *checks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	now := maps.Clone(c.byName)
	c.mu.Unlock()
	if c.more != nil {
		maps.Copy(now, c.more())
	}
	(&healthz.Handler{Checks: now}).ServeHTTP(w, r)
}

// AddHealthzCheck adds a check to /healthz.
func (r *Runtime) AddHealthzCheck(name string, check healthz.Checker) error {
	return r.healthz.add(name, check)
}

// AddReadyzCheck adds a check to /readyz.
func (r *Runtime) AddReadyzCheck(name string, check healthz.Checker) error {
	return r.readyz.add(name, check)
}

// addProbes adds the checks of this package and, unless its address is off, the
// server of them all.
func (r *Runtime) addProbes(ctx context.Context, o ctrl.Options) error {
	r.readyz.more = r.moment
	if err := errors.Join(
		r.AddHealthzCheck("ping", healthz.Ping),
		r.AddReadyzCheck("runtime", r.ready),
		r.AddReadyzCheck("webhooks", r.webhooks.Ready),
	); err != nil {
		return err
	}
	if o.HealthProbeBindAddress == "" || o.HealthProbeBindAddress == off {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.HealthProbeBindAddress)
	if err != nil {
		return fmt.Errorf("health probes: %w", err)
	}
	return r.Manager.Add(&manager.Server{
		Name:     "health probe",
		Server:   &http.Server{Handler: r.probes(o), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout},
		Listener: listener,
	})
}

// probes returns what is served.
func (r *Runtime) probes(o ctrl.Options) http.Handler {
	mux := http.NewServeMux()
	for path, handler := range map[string]http.Handler{
		cmp.Or(o.LivenessEndpointName, "/healthz"): &r.healthz,
		cmp.Or(o.ReadinessEndpointName, "/readyz"): &r.readyz,
	} {
		mux.Handle(path, http.StripPrefix(path, handler))
		mux.Handle(path+"/", http.StripPrefix(path, handler))
	}
	return mux
}

// moment are the checks whose names change: the mode of this process, which is
// ready in either, and every informer that is waited for. Their names are all that
// a probe is told.
func (r *Runtime) moment() map[string]healthz.Checker {
	now := map[string]healthz.Checker{}
	if r.election != nil {
		mode := "observing"
		if r.election.Leading() {
			mode = "leading"
		}
		now[mode] = healthz.Ping
	}
	if !r.webhooks.Converts() {
		for kind, err := range r.startup.missing() {
			now["informer "+kind] = func(*http.Request) error { return err }
		}
	}
	return now
}

// ready is the readiness check: true from when the caches are filled until the
// process is asked to stop. A process that converts objects does not wait for its
// caches: they may wait for its conversions, which only reach it when it is ready.
func (r *Runtime) ready(*http.Request) error {
	if err := context.Cause(r.stopping); err != nil {
		return err
	}
	if r.webhooks.Converts() {
		return nil
	}
	return r.startup.err()
}
