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
	if err := b.learn(ctx); err != nil {
		return err
	}
	b.passed.Store(term)
	return nil
}

// learn lists until that succeeds or ctx ends.
func (b *Barrier) learn(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := b.compare(ctx)
		if err == nil {
			return nil
		}
		if !budget.Retryable(err) && !apierrors.IsResourceExpired(err) && ctx.Err() == nil {
			return err
		}
		if budget.Wait(ctx, askPace.Delay(attempt)) != nil {
			return late(ctx, b.kind.GroupKind(), client.ObjectKey{}, err)
		}
	}
}

// compare raises the floors of all objects that the cache shows in another version
// than the API server.
func (b *Barrier) compare(ctx context.Context) error {
	shown := map[types.NamespacedName]string{} // versions in the cache
	list := b.list.DeepCopyObject().(client.ObjectList)
	if err := b.cached.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list %s in the cache: %w", b.kind.Kind, err)
	}
	err := meta.EachListItem(list, func(o runtime.Object) error {
		object, err := meta.Accessor(o)
		if err == nil {
			shown[types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}] = object.GetResourceVersion()
		}
		return err
	})
	if err != nil {
		return err
	}
	namespaces := b.keep.Namespaces(b.kind.GroupKind())
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	kind, newest := b.kind.GroupKind(), ""
	for _, namespace := range namespaces {
		newest, err = b.stored(ctx, namespace, func(object *metav1.PartialObjectMetadata) {
			key := client.ObjectKeyFromObject(object)
			if shown[key] != object.ResourceVersion {
				b.keep.written(kind, key, object.ResourceVersion)
			}
			delete(shown, key)
		})
		if err != nil {
			return err
		}
	}
	for key := range shown { // which are not stored any more
		b.keep.written(kind, key, newest)
	}
	return nil
}

// stored calls f with the metadata of what is stored, and returns the version as of
// which that is so.
func (b *Barrier) stored(ctx context.Context, namespace string, f func(*metav1.PartialObjectMetadata)) (string, error) {
	list := &metav1.PartialObjectMetadataList{}
	for {
		next := list.Continue
		list = &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(b.kind.GroupVersion().WithKind(b.kind.Kind + "List"))
		err := b.live.List(ctx, list, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(next))
		if err != nil {
			return "", fmt.Errorf("list %s: %w", b.kind.Kind, err)
		}
		for i := range list.Items {
			f(&list.Items[i])
		}
		if list.Continue == "" {
			return list.ResourceVersion, nil
		}
	}
}
