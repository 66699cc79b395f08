package reconciler

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// flights are the passes of one controller that run at present. The work queue
// runs one pass per object, so there is one flight per name.
type flights struct {
	mu      sync.Mutex
	running map[types.NamespacedName]flight
	ended   error // why no flight may go on, once there is a reason
}

// flight is one running pass.
type flight struct {
	cancel context.CancelCauseFunc
	// known tells that uid and generation are those of the object the pass works
	// on. Until then they are those of the newest event.
	known      bool
	uid        types.UID
	generation int64
}

// start adds a pass that cancel ends. The caller must finish it.
func (f *flights) start(key types.NamespacedName, cancel context.CancelCauseFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended != nil {
		cancel(f.ended)
	}
	if f.running == nil {
		f.running = make(map[types.NamespacedName]flight)
	}
	f.running[key] = flight{cancel: cancel}
}

// finish removes a pass.
func (f *flights) finish(key types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, key)
}

// end ends all passes, and those yet to start, with reason.
func (f *flights) end(reason error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended != nil {
		return
	}
	f.ended = reason
	for _, fl := range f.running {
		fl.cancel(reason)
	}
}

// works notes the object that the pass of that name works on.
func (f *flights) works(obj client.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := client.ObjectKeyFromObject(obj)
	fl, ok := f.running[key]
	if !ok {
		return
	}
	if fl.uid == obj.GetUID() && fl.generation > obj.GetGeneration() {
		fl.cancel(cause.Superseded)
	}
	fl.known, fl.uid, fl.generation = true, obj.GetUID(), obj.GetGeneration()
	f.running[key] = fl
}

// changed tells of an object as an event shows it, and as it was. A pass that works on
// an older generation of it, or on the one whose place it has taken, is ended.
func (f *flights) changed(was, obj client.Object) {
	if was.GetUID() != obj.GetUID() {
		f.deleted(was)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := client.ObjectKeyFromObject(obj)
	fl, ok := f.running[key]
	switch {
	case !ok:
	case !fl.known:
		fl.uid, fl.generation = obj.GetUID(), obj.GetGeneration()
		f.running[key] = fl
	case fl.uid == obj.GetUID() && fl.generation < obj.GetGeneration():
		fl.cancel(cause.Superseded)
	}
}

// deleted tells of an object that is gone. A pass that works on it is ended.
func (f *flights) deleted(obj client.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.running[client.ObjectKeyFromObject(obj)]; fl.known && fl.uid == obj.GetUID() {
		fl.cancel(cause.Superseded)
	}
}
