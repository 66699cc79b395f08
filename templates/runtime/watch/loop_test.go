package watch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// script is a Source and a Handler. It answers each watch with the next of its
// steps, and records everything.
type script struct {
	t     *testing.T
	steps []step // one for each watch
	lists int
	fail  error // of the handler

	mu      sync.Mutex
	log     []string
	watches []*apiwatch.FakeWatcher
}

type step struct {
	err    error                       // of the call
	events func(*apiwatch.FakeWatcher) // runs in a goroutine; the watch goes on when it returns, unless it stops it
}

func (s *script) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *script) ListWithContext(_ context.Context, o metav1.ListOptions) (runtime.Object, error) {
	s.lists++
	s.add("LIST rv=%q limit=%d", o.ResourceVersion, o.Limit)
	list := &runtimetest.WidgetList{}
	list.ResourceVersion = fmt.Sprint(100 * s.lists)
	list.Items = append(list.Items, *widget("listed", "1"))
	return list, nil
}

func (s *script) WatchWithContext(_ context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	if !o.AllowWatchBookmarks || o.TimeoutSeconds == nil || *o.TimeoutSeconds < 300 || *o.TimeoutSeconds > 600 {
		s.t.Errorf("watch options %+v", o)
	}
	s.add("WATCH rv=%s", o.ResourceVersion)
	if len(s.steps) == 0 {
		s.steps = []step{{}}
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	if next.err != nil {
		return nil, next.err
	}
	w := apiwatch.NewFake()
	s.watches = append(s.watches, w)
	if next.events != nil {
		go next.events(w)
	}
	return w, nil
}

func (s *script) Replace(_ context.Context, items []runtime.Object) error {
	s.add("replace %d", len(items))
	return s.fail
}

func (s *script) Handle(_ context.Context, event apiwatch.Event) error {
	object, err := meta.Accessor(event.Object)
	if err != nil {
		return err
	}
	s.add("%s %s", event.Type, object.GetName())
	return nil
}

func TestLoop(t *testing.T) {
	gone := &apierrors.StatusError{ErrStatus: *status(http.StatusGone, metav1.StatusReasonExpired)}
	cut := func(version string) func(*apiwatch.FakeWatcher) {
		return func(w *apiwatch.FakeWatcher) { w.Modify(widget("a", version)); w.Stop() }
	}
	tests := map[string]struct {
		steps []step
		want  []string
	}{
		"undisturbed": {
			steps: []step{{events: func(w *apiwatch.FakeWatcher) { w.Add(widget("a", "101")); w.Delete(widget("a", "102")) }}},
			want:  []string{`LIST rv="" limit=500`, "replace 1", "WATCH rv=100", "ADDED a", "DELETED a"},
		},
		"cut connections resume": {
			steps: []step{{events: cut("101")}, {events: cut("102")}, {events: cut("103")}},
			want: []string{`LIST rv="" limit=500`, "replace 1",
				"WATCH rv=100", "MODIFIED a", "WATCH rv=101", "MODIFIED a", "WATCH rv=102", "MODIFIED a", "WATCH rv=103"},
		},
		"bookmarks move on without events": {
			steps: []step{{events: func(w *apiwatch.FakeWatcher) {
				w.Action(apiwatch.Bookmark, widget("", "150"))
				w.Stop()
			}}},
			want: []string{`LIST rv="" limit=500`, "replace 1", "WATCH rv=100", "WATCH rv=150"},
		},
		"refused connections resume": {
			steps: []step{{err: errors.New("connection refused")}, {err: errors.New("connection refused")}, {events: cut("101")}},
			want: []string{`LIST rv="" limit=500`, "replace 1",
				"WATCH rv=100", "WATCH rv=100", "WATCH rv=100", "MODIFIED a", "WATCH rv=101"},
		},
		"gone when asked lists again": {
			steps: []step{{events: cut("101")}, {err: gone}, {events: cut("201")}},
			want: []string{`LIST rv="" limit=500`, "replace 1", "WATCH rv=100", "MODIFIED a", "WATCH rv=101",
				`LIST rv="" limit=500`, "replace 1", "WATCH rv=200", "MODIFIED a", "WATCH rv=201"},
		},
		"gone while watching lists again": {
			steps: []step{{events: func(w *apiwatch.FakeWatcher) { w.Error(&gone.ErrStatus) }}},
			want:  []string{`LIST rv="" limit=500`, "replace 1", "WATCH rv=100", `LIST rv="" limit=500`, "replace 1", "WATCH rv=200"},
		},
		"other error events resume": {
			steps: []step{{events: func(w *apiwatch.FakeWatcher) {
				w.Modify(widget("a", "101"))
				w.Error(status(http.StatusInternalServerError, metav1.StatusReasonInternalError))
			}}},
			want: []string{`LIST rv="" limit=500`, "replace 1", "WATCH rv=100", "MODIFIED a", "WATCH rv=101"},
		},
		"an event without an object resumes": {
			steps: []step{{events: func(w *apiwatch.FakeWatcher) { w.Action(apiwatch.Added, status(0, "")) }}},
			want:  []string{`LIST rv="" limit=500`, "replace 1", "WATCH rv=100", "WATCH rv=100"},
		},
		"a dead connection is given up": {
			steps: []step{{events: func(*apiwatch.FakeWatcher) {}}},
			want:  []string{`LIST rv="" limit=500`, "replace 1", "WATCH rv=100", "WATCH rv=100"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				s := &script{t: t, steps: test.steps}
				done := make(chan error, 1)
				go func() { done <- (&watch.Loop{Source: s, Handler: s}).Start(ctx) }()
				// Long enough for everything but the end of a second idle watch.
				horizon := 4 * time.Minute
				if name == "a dead connection is given up" {
					horizon = 11 * time.Minute
				}
				time.Sleep(horizon)
				cancel()
				if err := <-done; err != nil {
					t.Errorf("error %v", err)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if diff := cmp.Diff(test.want, s.log); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
				for i, w := range s.watches {
					if !w.IsStopped() {
						t.Errorf("watch %d is not stopped", i)
					}
				}
			})
		})
	}
}

func TestLoopEndsWithItsContextWhereverItIs(t *testing.T) {
	for name, steps := range map[string][]step{
		"in a watch":   {{}},
		"in a backoff": {{err: errors.New("connection refused")}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				s := &script{t: t, steps: steps}
				done := make(chan error, 1)
				go func() {
					done <- (&watch.Loop{Source: s, Handler: s, Backoff: budget.Backoff{Base: time.Hour, Max: time.Hour}}).Start(ctx)
				}()
				time.Sleep(time.Minute)
				cancelled := time.Now()
				cancel()
				if err := <-done; err != nil {
					t.Errorf("error %v", err)
				}
				if late := time.Since(cancelled); late != 0 {
					t.Errorf("ended %s late", late)
				}
			})
		})
	}
}

func TestLoopEndsWithItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := &script{t: t, fail: errors.New("boom")}
		if err := (&watch.Loop{Source: s, Handler: s}).Start(ctx); err != s.fail {
			t.Errorf("error %v", err)
		}
	})
}

func TestLoopComesBackWhenItIsToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		asked := make(chan time.Time, 1)
		s := &script{t: t, steps: []step{{err: apierrors.NewTooManyRequests("slow down", 30)}, {events: func(*apiwatch.FakeWatcher) {
			asked <- time.Now()
		}}}}
		begin := time.Now()
		if err := (&watch.Loop{Source: s, Handler: s}).Start(ctx); err != nil {
			t.Errorf("error %v", err)
		}
		if again := (<-asked).Sub(begin); again != 30*time.Second {
			t.Errorf("asked again after %s", again)
		}
	})
}

// An API server that answers every watch with an error at once must not be
// asked without a pause.
func TestLoopBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := &script{t: t}
		for range 100 {
			s.steps = append(s.steps, step{events: func(w *apiwatch.FakeWatcher) { w.Stop() }})
		}
		if err := (&watch.Loop{Source: s, Handler: s}).Start(ctx); err != nil {
			t.Errorf("error %v", err)
		}
		if n := len(s.watches); n < 5 || n > 25 {
			t.Errorf("%d watches in a minute", n)
		}
	})
}

// Nor one that forgets at once what it has told of.
func TestLoopBacksOffFromAServerThatForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := &script{t: t}
		for range 100 {
			s.steps = append(s.steps, step{events: func(w *apiwatch.FakeWatcher) {
				w.Modify(widget("a", "101"))
				w.Error(status(http.StatusGone, metav1.StatusReasonExpired))
			}})
		}
		if err := (&watch.Loop{Source: s, Handler: s}).Start(ctx); err != nil {
			t.Errorf("error %v", err)
		}
		if s.lists < 5 || s.lists > 25 {
			t.Errorf("%d lists in a minute", s.lists)
		}
	})
}

// A server need not send bookmarks, and a resource need not change.
func TestAQuietWatchIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const quiet = 10
		ctx, cancel := context.WithTimeout(t.Context(), quiet*5*time.Minute)
		defer cancel()
		s := &script{t: t}
		for range quiet {
			s.steps = append(s.steps, step{events: func(w *apiwatch.FakeWatcher) { time.Sleep(5 * time.Minute); w.Stop() }})
		}
		logger := funcr.New(func(_, line string) { t.Error(line) }, funcr.Options{Verbosity: 1})
		if err := (&watch.Loop{Source: s, Handler: s}).Start(log.IntoContext(ctx, logger)); err != nil {
			t.Errorf("error %v", err)
		}
		if len(s.steps) > 0 {
			t.Errorf("%d of %d watches were not asked for in time", len(s.steps), quiet)
		}
	})
}

// People are told once of a watch that keeps failing, and not of every cut.
func TestLoopTellsOfLastingFailures(t *testing.T) {
	for failures, want := range map[int]int{3: 0, 100: 1} {
		synctest.Test(t, func(t *testing.T) {
			told := 0
			logger := funcr.New(func(_, _ string) { told++ }, funcr.Options{})
			ctx, cancel := context.WithTimeout(log.IntoContext(t.Context(), logger), time.Minute)
			defer cancel()
			s := &script{t: t}
			for range failures {
				s.steps = append(s.steps, step{err: errors.New("forbidden")})
			}
			if err := (&watch.Loop{Source: s, Handler: s}).Start(ctx); err != nil {
				t.Errorf("error %v", err)
			}
			if told != want {
				t.Errorf("told %d times of %d failures, want %d", told, failures, want)
			}
		})
	}
}
