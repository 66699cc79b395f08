package watch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/pager"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// Source lists and watches one resource. client-go's ListWatch has both
// methods, and [For] makes one from a controller-runtime client.
type Source interface {
	ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error)
	WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

// Handler is told what is watched. Its methods are called one at a time, with the
// context of the [Loop]: they may outlast a watch, which then goes on where they
// are. They must return soon after ctx ends. An error from either ends the Loop.
type Handler interface {
	// Replace is given the complete present state: first, and again after a gap
	// in which events were lost. Objects that are not among items are gone.
	Replace(ctx context.Context, items []runtime.Object) error
	// Handle is given one Added, Modified or Deleted event.
	Handle(ctx context.Context, event watch.Event) error
}

// Loop keeps a watch going until its context ends. It is a controller-runtime
// Runnable.
type Loop struct {
	// Name is what is watched. With a name each watch, with the list before it if
	// there is one, is observed (see package observe).
	Name    string
	Source  Source
	Handler Handler
	// Backoff spaces failed attempts. Attempts is ignored: a Loop never gives up.
	Backoff budget.Backoff
}

// Start runs the loop until ctx ends (nil) or the Handler fails (its error).
func (l *Loop) Start(ctx context.Context) error {
	version := "" // the last one seen, empty where only a list can help
	var err error
	for failures := 0; l.pause(ctx, failures, err); {
		var progress bool
		progress, err = l.step(ctx, &version)
		switch {
		case ctx.Err() != nil:
			continue // to the end
		case isHandlerError(err):
			return errors.Unwrap(err)
		case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			version, progress = "", false // or a server that is so after each event would be asked without a pause
		}
		if progress {
			failures = 0
			continue
		}
		failures++
		note(ctx, err, version, failures)
	}
	return nil
}

// loud is the number of failures in a row, some seconds, after which people are
// told: what lasts that long may not heal by itself.
const loud = 6

func note(ctx context.Context, err error, version string, failures int) {
	logger := log.FromContext(ctx).WithValues("resourceVersion", version, "failures", failures)
	if failures == loud && err != nil {
		logger.Error(err, "Watch keeps failing; it is tried on")
		return
	}
	logger.V(1).Info("Watch interrupted", "error", err)
}

// pause waits as is due after that many failures in a row, of which err is the
// last. It reports whether there is time to go on.
func (l *Loop) pause(ctx context.Context, failures int, err error) bool {
	if failures == 0 {
		return ctx.Err() == nil
	}
	return budget.Wait(ctx, l.Backoff.After(failures, err)) == nil
}

// step lists, if there is no version to watch from, and watches until the watch
// ends. It reports whether it got anything, so that going on at once makes no
// hot loop.
func (l *Loop) step(ctx context.Context, version *string) (progress bool, err error) {
	if l.Name != "" {
		var call *observe.Call
		ctx, call = observe.For(observe.Watch, l.Name).Begin(ctx)
		defer func() { call.End(cause.Classify(ctx, err)) }()
	}
	if *version == "" {
		if *version, err = l.list(ctx); err != nil {
			return false, err
		}
	}
	return l.watch(ctx, version)
}

func (l *Loop) list(ctx context.Context) (version string, err error) {
	list, _, err := pager.New(l.Source.ListWithContext).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("list: %w", err)
	}
	listMeta, err := meta.ListAccessor(list)
	if err != nil {
		return "", fmt.Errorf("list: %w", err)
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return "", fmt.Errorf("list: %w", err)
	}
	if err := l.Handler.Replace(ctx, items); err != nil {
		return "", handlerError{err}
	}
	return listMeta.GetResourceVersion(), nil
}

// Watches are asked to end after a random time between these, so that they
// spread over API servers, as those of informers do.
const (
	shortestWatch = 5 * time.Minute
	longestWatch  = 10 * time.Minute
	// overdue is how long after its time a watch that does not end is given up:
	// its connection is dead.
	overdue = 30 * time.Second
	// uneventful is how long a watch must have lasted that the server ended in
	// order and without an event, to count as one in which nothing happened: there
	// need be no bookmarks.
	uneventful = time.Second
)

func (l *Loop) watch(ctx context.Context, version *string) (progress bool, err error) {
	length := (shortestWatch + rand.N(longestWatch-shortestWatch)).Truncate(time.Second)
	watching, release := context.WithTimeoutCause(ctx, length+overdue, cause.AttemptDeadline.With("watch"))
	defer release()
	seconds := int64(length.Seconds())
	w, err := l.Source.WatchWithContext(watching, metav1.ListOptions{
		ResourceVersion: *version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
	})
	if err != nil {
		return false, fmt.Errorf("watch: %w", err)
	}
	begun := time.Now()
	err = Range(watching, w, func(event watch.Event) error {
		object, err := meta.Accessor(event.Object)
		if err != nil {
			return fmt.Errorf("watch: %s event: %w", event.Type, err)
		}
		if event.Type != watch.Bookmark {
			if err := l.Handler.Handle(ctx, event); err != nil {
				return handlerError{err}
			}
		}
		*version, progress = object.GetResourceVersion(), true
		return nil
	})
	return progress || err == nil && time.Since(begun) >= uneventful, err
}

// handlerError tells a failure of the Handler from one of the watch.
type handlerError struct{ error }

func (e handlerError) Unwrap() error { return e.error }

func isHandlerError(err error) bool {
	_, ok := err.(handlerError)
	return ok
}
