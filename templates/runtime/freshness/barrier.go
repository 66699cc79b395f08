package freshness

import (
	"context"
	"fmt"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// Barrier holds back, in each new term of leading, what is done about objects of
// one kind until this process knows of which of them its cache is older than what
// is stored: a former leader may have written them. It lists the metadata of the
// kind once in a term; when the former leader wrote nothing that the cache has not
// seen, nothing else is asked for. Make one with [NewBarrier].
type Barrier struct {
	keep   *Keep
	cached client.Reader
	live   client.Reader
	kind   schema.GroupVersionKind
	list   client.ObjectList // an empty one

	passed atomic.Pointer[leader.Term] // the last term in which the API server was asked
	turn   chan struct{}               // holds one token, of who asks it
	asking *comparison                 // that is not done yet, of who has the token
}

// comparison is how far the API server has been asked in a term. A pass goes on where
// the one before it had to stop, or a kind with many objects would never be listed.
type comparison struct {
	term  *leader.Term
	shown map[types.NamespacedName]state // in the cache, less what has been listed
	parts []part                         // to be listed
	next  string                         // where in the first of them
}

// state is which object the cache shows, in which version.
type state struct {
	uid     types.UID
	version string
}

// NewBarrier makes a Barrier for the objects that list is a list of, in the Go type in
// which cached has them. It tells k of those that are late there, by the word of live.
func NewBarrier(k *Keep, cached, live client.Reader, kind schema.GroupVersionKind, list client.ObjectList) *Barrier {
	b := &Barrier{keep: k, cached: cached, live: live, kind: kind, list: list, turn: make(chan struct{}, 1)}
	b.turn <- struct{}{}
	return b
}

// pageSize is the number of objects in an answer of the API server.
const pageSize = 1000

// Pass returns when it is known what the term that the work under ctx is part of has
// to know, at once if that is so already or if ctx is part of no term. It fails when
// ctx ends before.
func (b *Barrier) Pass(ctx context.Context) error {
	term, ok := leader.TermOf(ctx)
	if !ok {
		return nil
	}
	if b.passed.Load() == term {
		return nil
	}
	ctx, call := observe.For(observe.Freshness, b.kind.GroupKind().String()).Begin(ctx)
	err := b.once(ctx, term)
	call.End(cause.Judged(err))
	return err
}

// once learns, unless another pass of the term has done so while this one waited.
func (b *Barrier) once(ctx context.Context, term *leader.Term) error {
	select {
	case token := <-b.turn:
		defer func() { b.turn <- token }()
	case <-ctx.Done():
		return late(ctx, b.kind.GroupKind(), client.ObjectKey{}, nil)
	}
	if b.passed.Load() == term {
		return nil
	}
	if !b.keep.direct[b.kind.GroupKind()] { // or nothing that is read can be late
		if err := b.learn(ctx, term); err != nil {
			return err
		}
	}
	b.passed.Store(term)
	return nil
}

// learn lists until that succeeds or ctx ends.
func (b *Barrier) learn(ctx context.Context, term *leader.Term) error {
	for attempt := 1; ; attempt++ {
		err := b.compare(ctx, term)
		if err == nil {
			return nil
		}
		switch {
		case apierrors.IsResourceExpired(err):
			b.asking = nil // what was listed is too old to go on from
		case apierrors.IsNotFound(err): // the kind is not served, which must not be taken for an object that is gone
			return fmt.Errorf("list %s: %s", b.kind.Kind, err.Error())
		case !budget.Retryable(err) && ctx.Err() == nil:
			return fmt.Errorf("list %s: %w", b.kind.Kind, err)
		}
		if budget.Wait(ctx, askPace.Delay(attempt)) != nil {
			return late(ctx, b.kind.GroupKind(), client.ObjectKey{}, err)
		}
	}
}

// compare raises the floors of all objects that the cache shows in another version
// than the API server.
func (b *Barrier) compare(ctx context.Context, term *leader.Term) (err error) {
	if b.asking == nil || b.asking.term != term {
		if b.asking, err = b.begin(ctx, term); err != nil {
			return err
		}
	}
	for c := b.asking; len(c.parts) > 0; {
		if err := b.page(ctx, c); err != nil {
			return err
		}
	}
	for key, was := range b.asking.shown { // which are not stored any more
		b.keep.gone(b.kind.GroupKind(), key, was.uid)
	}
	b.asking = nil
	return nil
}

// begin reads the cache before the API server is asked, so that nothing in it is newer.
func (b *Barrier) begin(ctx context.Context, term *leader.Term) (*comparison, error) {
	c := &comparison{term: term, shown: map[types.NamespacedName]state{}}
	list := b.list.DeepCopyObject().(client.ObjectList)
	if err := b.cached.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	err := meta.EachListItem(list, func(o runtime.Object) error {
		object, err := meta.Accessor(o)
		if err == nil {
			key := types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
			c.shown[key] = state{object.GetUID(), object.GetResourceVersion()}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.parts, err = b.keep.scope.parts(b.kind)
	return c, err
}

// page lists the metadata of some more objects.
func (b *Barrier) page(ctx context.Context, c *comparison) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(b.kind.GroupVersion().WithKind(b.kind.Kind + "List"))
	of := c.parts[0]
	err := b.live.List(ctx, list, &client.ListOptions{
		Namespace: of.namespace, LabelSelector: of.label, FieldSelector: of.field, Limit: pageSize, Continue: c.next,
	})
	if err != nil {
		return err
	}
	for i := range list.Items {
		object := &list.Items[i]
		key := client.ObjectKeyFromObject(object)
		if c.shown[key].version != object.ResourceVersion {
			b.keep.written(b.kind.GroupKind(), key, object.ResourceVersion, true)
		}
		delete(c.shown, key)
	}
	if c.next = list.Continue; c.next == "" {
		c.parts = c.parts[1:]
	}
	return nil
}
