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
	mode   func() string // the name of one more, which never fails; nil for none
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
	if c.mode != nil {
		now[c.mode()] = healthz.Ping
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
	if r.election != nil {
		r.readyz.mode = r.mode
	}
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

// mode names what this process does at the moment. It is ready for either.
func (r *Runtime) mode() string {
	if r.election.Leading() {
		return "leading"
	}
	return "observing"
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
	select {
	case <-r.up:
		return nil
	default:
		return errors.New("caches are not filled yet")
	}
}
