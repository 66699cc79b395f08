package runtimetest

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

// Process stands in for the operator's process, with a [Server] behind it.
type Process struct {
	*Server
	Limit    budget.Reconcile
	Recorder Recorder

	onStop []func(error)
}

// NewProcess returns a process whose reconciles take no longer than limit.
func NewProcess(limit budget.Reconcile) *Process {
	return &Process{Server: &Server{}, Limit: limit}
}

// Stop asks the process to stop.
func (p *Process) Stop(reason error) {
	for _, f := range p.onStop {
		f(reason)
	}
}

// GetClient returns the server.
func (p *Process) GetClient() client.Client { return p.Server }

// GetAPIReader returns the server.
func (p *Process) GetAPIReader() client.Reader { return p.Server }

// GetEventRecorder returns the recorder.
func (p *Process) GetEventRecorder(string) recorder.EventRecorder { return &p.Recorder }

// Budget returns the limit.
func (p *Process) Budget() budget.Reconcile { return p.Limit }

// OnStop has f called by Stop.
func (p *Process) OnStop(f func(reason error)) { p.onStop = append(p.onStop, f) }

// Recorder keeps events as text: type, reason, action and note.
type Recorder struct {
	mu     sync.Mutex
	events []string
}

// Events returns the events recorded so far.
func (r *Recorder) Events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.events...)
}

// Eventf implements events.EventRecorder.
func (r *Recorder) Eventf(_, _ runtime.Object, eventtype, reason, action, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf("%s %s %s: %s", eventtype, reason, action, fmt.Sprintf(note, args...)))
}

// AnnotatedEventf implements events.AnnotatedEventRecorder.
func (r *Recorder) AnnotatedEventf(regarding, related runtime.Object, _ map[string]string, eventtype, reason, action, note string, args ...any) {
	r.Eventf(regarding, related, eventtype, reason, action, note, args...)
}
