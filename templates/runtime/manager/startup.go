package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// startup is what is waited for before the process is ready and competes for its
// lease: the manager, and the sources of every controller it was given until then.
type startup struct {
	done chan struct{} // closed when nothing is waited for any more

	mu        sync.Mutex
	parts     int                // that are waited for
	informers map[string]request // by kind
}

// request is for an informer.
type request struct {
	informer cache.Informer // nil until there is one
	err      error          // of the last attempt to get it
}

func newStartup() *startup {
	return &startup{done: make(chan struct{}), informers: map[string]request{}}
}

// over reports whether the process has started.
func (s *startup) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// part adds something to wait for, until ready is called. What is added when the
// process has started is not waited for.
func (s *startup) part() (ready func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() {
		return func() {}
	}
	s.parts++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.parts--; s.parts == 0 {
			close(s.done)
		}
	}
}

// missing returns the kinds whose informers were asked for and have not synced, with
// what is known of the reason; none when the process has started.
func (s *startup) missing() map[string]error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() {
		return nil
	}
	kinds := map[string]error{}
	for kind, r := range s.informers {
		if r.informer == nil || !r.informer.HasSynced() {
			kinds[kind] = cmp.Or(r.err, errListing)
		}
	}
	return kinds
}

var errListing = errors.New("has not been listed yet")

// err says what is waited for, and is nil when nothing is.
func (s *startup) err() error {
	if s.over() {
		return nil
	}
	missing := s.missing()
	var text strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(missing)) {
		fmt.Fprintf(&text, "; %s: %v", kind, missing[kind])
	}
	return errors.New("caches are not filled yet" + text.String())
}

// awaited is a controller whose sources are waited for. Its Warmup starts them and
// returns when they have synced, which a controller tells in no other way.
type awaited struct {
	controller controller // not embedded: Warmup is called here, and not by controller-runtime
	ready      func()
}

// Start implements manager.Runnable.
func (a awaited) Start(ctx context.Context) error {
	if err := a.controller.Warmup(ctx); err != nil {
		return err
	}
	if ctx.Err() == nil { // with ctx Warmup ends whether they have synced or not
		a.ready()
	}
	return a.controller.Start(ctx)
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (a awaited) NeedLeaderElection() bool { return needsElection(a.controller) }

// naming makes caches that note which informers they are asked for.
func (s *startup) naming(newCache cache.NewCacheFunc) cache.NewCacheFunc {
	if newCache == nil {
		newCache = cache.New
	}
	return func(cfg *rest.Config, o cache.Options) (cache.Cache, error) {
		c, err := newCache(cfg, o)
		if err != nil {
			return nil, err
		}
		return namingCache{Cache: c, startup: s, kind: func(obj client.Object) string {
			gvk, err := apiutil.GVKForObject(obj, cmp.Or(o.Scheme, scheme.Scheme))
			if err != nil {
				return fmt.Sprintf("%T", obj)
			}
			if _, ok := obj.(*metav1.PartialObjectMetadata); ok {
				return gvk.GroupKind().String() + " (metadata)"
			}
			return gvk.GroupKind().String()
		}}, nil
	}
}

type namingCache struct {
	cache.Cache
	startup *startup
	kind    func(client.Object) string
}

// GetInformer implements cache.Informers.
func (c namingCache) GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	if c.startup.over() {
		return c.Cache.GetInformer(ctx, obj, opts...)
	}
	kind := c.kind(obj)
	c.startup.note(kind, nil, nil)
	informer, err := c.Cache.GetInformer(ctx, obj, opts...)
	c.startup.note(kind, informer, err)
	return informer, err
}

// note keeps what came of a request for an informer. There may be several for one.
func (s *startup) note(kind string, informer cache.Informer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.informers[kind]
	if informer != nil {
		r.informer = informer
	}
	if err != nil {
		r.err = err
	}
	s.informers[kind] = r
}
