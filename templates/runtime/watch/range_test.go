package watch_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

func widget(name, version string) *runtimetest.Widget {
	w := &runtimetest.Widget{}
	w.Name, w.ResourceVersion = name, version
	return w
}

func status(code int32, reason metav1.StatusReason) *metav1.Status {
	return &metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: string(reason)}
}

func TestRangeAlwaysStops(t *testing.T) {
	failure := errors.New("boom")
	tests := map[string]struct {
		happen func(w *apiwatch.FakeWatcher, cancel context.CancelCauseFunc)
		f      func(apiwatch.Event) error
		want   func(error) bool
	}{
		"channel closed": {
			happen: func(w *apiwatch.FakeWatcher, _ context.CancelCauseFunc) { w.Add(widget("a", "1")); w.Stop() },
			want:   func(err error) bool { return err == nil },
		},
		"context ended": {
			happen: func(w *apiwatch.FakeWatcher, cancel context.CancelCauseFunc) {
				w.Add(widget("a", "1"))
				cancel(cause.Shutdown)
			},
			want: func(err error) bool { return errors.Is(err, cause.Shutdown) },
		},
		"function failed": {
			happen: func(w *apiwatch.FakeWatcher, _ context.CancelCauseFunc) { w.Add(widget("a", "1")) },
			f:      func(apiwatch.Event) error { return failure },
			want:   func(err error) bool { return errors.Is(err, failure) },
		},
		"error event": {
			happen: func(w *apiwatch.FakeWatcher, _ context.CancelCauseFunc) {
				w.Error(status(http.StatusGone, metav1.StatusReasonExpired))
			},
			want: apierrors.IsResourceExpired,
		},
		"error event that is none": {
			happen: func(w *apiwatch.FakeWatcher, _ context.CancelCauseFunc) { w.Error(widget("a", "1")) },
			want:   func(err error) bool { return err != nil },
		},
		// What a real watch sends last when its context ended.
		"error event because the context ended": {
			happen: func(w *apiwatch.FakeWatcher, cancel context.CancelCauseFunc) {
				cancel(cause.Shutdown)
				w.Error(status(http.StatusInternalServerError, metav1.StatusReasonInternalError))
			},
			want: func(err error) bool { return errors.Is(err, cause.Shutdown) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				w := apiwatch.NewFakeWithChanSize(2, false)
				test.happen(w, cancel)
				f := test.f
				if f == nil {
					f = func(event apiwatch.Event) error {
						if event.Type != apiwatch.Added {
							t.Errorf("got a %s event", event.Type)
						}
						return nil
					}
				}
				if err := watch.Range(ctx, w, f); !test.want(err) {
					t.Errorf("error %v", err)
				}
				if !w.IsStopped() {
					t.Error("the watch is not stopped")
				}
			})
		})
	}
}

func TestRangeOverNothing(t *testing.T) {
	err := watch.Range(t.Context(), nil, func(apiwatch.Event) error { t.Error("called"); return nil })
	if err == nil {
		t.Error("no error")
	}
}
