package freshness

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// bubble runs a test on a fake clock.
func bubble(t *testing.T, f func(t *testing.T, w *world, c *Client, r *Reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, c, r := newWorld(t)
		f(t, w, c, r)
	})
}

// write gives the stored widget a size.
func write(t *testing.T, w *world, c client.Writer, size int64) *widget {
	t.Helper()
	obj := w.stored[key].DeepCopy()
	obj.Spec.Size = size
	if err := c.Update(t.Context(), obj); err != nil && !open(err) {
		t.Fatal(err)
	}
	return obj
}

func sizeOf(t *testing.T, r client.Reader) int64 {
	t.Helper()
	obj := &widget{}
	if err := r.Get(t.Context(), key, obj); err != nil {
		t.Fatal(err)
	}
	return obj.Spec.Size
}

func TestAReadWaitsForTheWriteBeforeIt(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		write(t, w, c, 7)
		time.AfterFunc(Patience/2, w.see)
		if got := sizeOf(t, r); got != 7 {
			t.Errorf("read size %d after 7 was written", got)
		}
		if w.lives() != 0 {
			t.Errorf("the API server was asked %d times", w.lives())
		}
		if n := r.Keep.pending.Load(); n != 0 {
			t.Errorf("%d floors are kept that the cache has reached", n)
		}
	})
}

func TestWhatStaysLateIsReadFromTheAPIServer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		write(t, w, c, 7)
		for range 2 {
			if got := sizeOf(t, r); got != 7 {
				t.Errorf("read size %d after 7 was written", got)
			}
		}
		if w.lives() != 2 {
			t.Errorf("the API server was asked %d times in two reads", w.lives())
		}
	})
}

// What is read live does not keep fields of what the cache had shown.
func TestALiveReadIsNotMixedWithTheCache(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		write(t, w, c, 7)
		w.see()
		write(t, w, c, 0)
		obj := &widget{}
		r.Live = liveMerge{liveWorld{w}}
		if err := r.Get(t.Context(), key, obj); err != nil || obj.Spec.Size != 0 {
			t.Errorf("size %d, error %v", obj.Spec.Size, err)
		}
	})
}

// liveMerge decodes as JSON does: what is empty leaves what is there.
type liveMerge struct{ liveWorld }

func (l liveMerge) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	was := obj.(*widget).Spec.Size
	err := l.liveWorld.Get(ctx, key, obj, opts...)
	if now := obj.(*widget); now.Spec.Size == 0 {
		now.Spec.Size = was
	}
	return err
}

func TestAWriteOfOneRepresentationHoldsBackReadsOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		stored := write(t, w, c, 7)
		obj := &metav1.PartialObjectMetadata{}
		obj.SetGroupVersionKind(gvk)
		if err := r.Get(t.Context(), key, obj); err != nil || obj.ResourceVersion != stored.ResourceVersion {
			t.Errorf("metadata of version %s after %s was written, error %v", obj.ResourceVersion, stored.ResourceVersion, err)
		}
	})
}

// What became of a write: whether the next read has to ask the API server at once.
func TestWhatIsKnownAfterAWrite(t *testing.T) {
	status := func(code int32, reason metav1.StatusReason) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Reason: reason}}
	}
	applied := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict}}, "taken")
	for name, test := range map[string]struct {
		answer error
		want   floor
	}{
		"stored":              {nil, floor{version: 2}},
		"no answer":           {context.DeadlineExceeded, floor{unknown: true}},
		"a timeout there":     {status(504, metav1.StatusReasonTimeout), floor{unknown: true}},
		"an internal error":   {status(500, metav1.StatusReasonInternalError), floor{unknown: true}},
		"outdated":            {apierrors.NewConflict(resource, "w", errors.New("modified")), floor{version: 2}},
		"fields of others":    {applied, floor{}},
		"invalid":             {status(422, metav1.StatusReasonInvalid), floor{}},
		"forbidden":           {status(403, metav1.StatusReasonForbidden), floor{}},
		"gone":                {apierrors.NewNotFound(resource, "w"), floor{unknown: true}},
		"there already":       {apierrors.NewAlreadyExists(resource, "w"), floor{unknown: true}},
		"refused by a fence":  {fmt.Errorf("patch: %w", &fence.RefusedError{Reason: cause.LeadershipLost}), floor{}},
		"conflict, then gone": {errors.Join(apierrors.NewNotFound(resource, "w")), floor{unknown: true}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
				w.answer = test.answer
				obj := w.stored[key].DeepCopy()
				if err := c.Update(t.Context(), obj); !errors.Is(err, test.answer) {
					t.Fatal(err)
				}
				f, _ := r.Keep.floor(gvk.GroupKind(), key)
				if f.noted = (time.Time{}); f != test.want {
					t.Errorf("the floor is %+v, want %+v", f, test.want)
				}
			})
		})
	}
}

func TestADryRunIsNoWrite(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		if err := c.Update(t.Context(), w.stored[key].DeepCopy(), client.DryRunAll); err != nil || r.Keep.pending.Load() != 0 {
			t.Errorf("error %v, %d floors", err, r.Keep.pending.Load())
		}
	})
}

// A kind that nobody reads from a cache is not kept.
func TestKindsThatAreNotCachedCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := newWorld(t)
		k := &Keep{}
		write(t, w, NewClient(w, k), 7)
		if n := k.pending.Load(); n != 0 {
			t.Errorf("%d floors", n)
		}
	})
}

func TestAWriteThatMayHaveBeenStoredIsLookedUp(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		w.answer = context.DeadlineExceeded // after it was stored
		write(t, w, c, 7)
		if got := sizeOf(t, r); got != 7 {
			t.Errorf("read size %d", got)
		}
	})
}

func TestADeletedObjectIsNotReadAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		if err := c.Delete(t.Context(), w.stored[key].DeepCopy()); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time it is known to be gone
			if err := r.Get(t.Context(), key, &widget{}); !apierrors.IsNotFound(err) {
				t.Errorf("error %v of a read of what this process has deleted", err)
			}
		}
		w.put(&widget{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "uid-2"}})
		w.see()
		if err := r.Get(t.Context(), key, &widget{}); err != nil {
			t.Errorf("another object of the same name: %v", err)
		}
	})
}

func TestAListHasWhatWasCreated(t *testing.T) {
	other := types.NamespacedName{Namespace: "other", Name: "w2"}
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		if err := c.Create(t.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Namespace: other.Namespace, Name: other.Name, UID: "uid-2"}}); err != nil {
			t.Fatal(err)
		}
		elsewhere := &runtimetest.WidgetList{}
		if err := r.List(t.Context(), elsewhere, client.InNamespace(key.Namespace)); err != nil || len(elsewhere.Items) != 1 {
			t.Errorf("%d items where nothing was created, error %v", len(elsewhere.Items), err)
		}
		time.AfterFunc(time.Minute, w.see)
		all := &runtimetest.WidgetList{}
		if err := r.List(t.Context(), all); err != nil || len(all.Items) != 2 {
			t.Errorf("%d items after a second was created, error %v", len(all.Items), err)
		}
	})
}

// What was created may be deleted before the cache has shown it, which then never does.
func TestAListDoesNotWaitForWhatIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		gone := types.NamespacedName{Namespace: "other", Name: "w2"}
		if err := c.Create(t.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Namespace: gone.Namespace, Name: gone.Name}}); err != nil {
			t.Fatal(err)
		}
		w.remove(gone)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.List(ctx, &runtimetest.WidgetList{}); err != nil {
			t.Error(err)
		}
	})
}

// A cache that holds a selection never shows what is not in it.
func TestAPartialCacheIsBelievedAboutWhatItLacks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		r.Partial = func(schema.GroupKind) bool { return true }
		if err := c.Create(t.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "w2"}}); err != nil {
			t.Fatal(err)
		}
		if err := r.List(t.Context(), &runtimetest.WidgetList{}); err != nil || w.lives() != 0 {
			t.Errorf("error %v, %d live reads", err, w.lives())
		}
		write(t, w, c, 7)
		if got := sizeOf(t, r); got != 7 {
			t.Errorf("size %d of what the cache does show", got)
		}
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	outage := apierrors.NewServiceUnavailable("down")
	for name, read := range map[string]func(context.Context, *Reader) error{
		"get":  func(ctx context.Context, r *Reader) error { return r.Get(ctx, key, &widget{}) },
		"list": func(ctx context.Context, r *Reader) error { return r.List(ctx, &runtimetest.WidgetList{}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
				write(t, w, c, 7)
				w.outage = outage
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause.ReconcileDeadline)
				defer cancel()
				if err := read(ctx, r); !errors.Is(err, Late) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v, want one that is named after the lateness", err)
				}
				if w.lives() > 100 {
					t.Errorf("the API server was asked %d times in a minute of its outage", w.lives())
				}
				stopped, stop := context.WithCancelCause(t.Context())
				stop(cause.Shutdown)
				if err := read(stopped, r); !errors.Is(err, cause.Shutdown) || errors.Is(err, Late) {
					t.Errorf("error %v of a read that was stopped", err)
				}
			})
		})
	}
}

// A restore of etcd brings back older versions than were written.
func TestTheAPIServersWordReplacesWhatWasKnown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		w.version = 1000
		write(t, w, c, 7)
		w.version = 10
		w.put(w.stored[key].DeepCopy())
		for range 2 {
			_ = sizeOf(t, r)
		}
		w.see()
		asked := w.lives()
		_ = sizeOf(t, r)
		if w.lives() != asked {
			t.Error("the cache has what the API server has, and is not believed")
		}
	})
}

func TestOldFloorsAreDropped(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		many := func(prefix string) {
			for i := range leastSweep {
				r.Keep.written(gvk.GroupKind(), types.NamespacedName{Name: fmt.Sprint(prefix, i)}, "7")
			}
		}
		many("old")
		time.Sleep(forgotten + time.Second)
		many("new")
		if n := r.Keep.pending.Load(); n > leastSweep+1 || n < leastSweep-1 {
			t.Errorf("%d floors are kept of %d that are not old", n, leastSweep)
		}
	})
}

// seen is a Witness.
type seen []string

func (s *seen) Saw(obj client.Object) { *s = append(*s, obj.GetResourceVersion()) }

func TestAWitnessIsToldOfReadsAndWrites(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, _ *Reader) {
		var s seen
		ctx := &Witnessed{Context: t.Context(), Witness: &s}
		if err := c.Update(ctx, w.stored[key].DeepCopy()); err != nil {
			t.Fatal(err)
		}
		w.answer = apierrors.NewConflict(resource, "w", errors.New("modified"))
		_ = c.Update(ctx, w.stored[key].DeepCopy())
		if err := c.Get(ctx, key, &widget{}); err != nil {
			t.Fatal(err)
		}
		_ = c.Get(ctx, types.NamespacedName{Name: "none"}, &widget{})
		if len(s) != 2 || s[0] != "2" || s[1] != "1" { // as the cache has it
			t.Errorf("told of %v", s)
		}
	})
}

// A former leader wrote, created and removed what the cache has not seen.
func TestABarrierTellsWhatIsLate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		same := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "same", UID: "uid-2"}}
		gone := &widget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gone", UID: "uid-3"}}
		w.put(same)
		w.put(gone)
		w.see()
		write(t, w, w, 7) // not by c: another process
		w.remove(client.ObjectKeyFromObject(gone))
		b := NewBarrier(r.Keep, w, liveWorld{w}, gvk, &runtimetest.WidgetList{})
		term := &leader.Term{}
		for range 2 {
			if err := b.once(t.Context(), term); err != nil {
				t.Fatal(err)
			}
		}
		if w.lives() != 1 {
			t.Errorf("%d lists in one term", w.lives())
		}
		if got := sizeOf(t, r); got != 7 {
			t.Errorf("size %d, and a former leader wrote 7", got)
		}
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(gone), &widget{}); !apierrors.IsNotFound(err) {
			t.Errorf("error %v of what is gone", err)
		}
		asked := w.lives()
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(same), &widget{}); err != nil || w.lives() != asked {
			t.Errorf("error %v, %d live reads for what is not late", err, w.lives()-asked)
		}
		if err := b.once(t.Context(), &leader.Term{}); err != nil || w.lives() != asked+1 {
			t.Errorf("error %v, %d lists in the next term", err, w.lives()-asked)
		}
	})
}

func TestABarrierIsTriedUntilItsPassIsOver(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *Client, r *Reader) {
		b := NewBarrier(r.Keep, w, liveWorld{w}, gvk, &runtimetest.WidgetList{})
		term := &leader.Term{}
		w.outage = apierrors.NewServiceUnavailable("down")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause.ReconcileDeadline)
		defer cancel()
		if err := b.once(ctx, term); !errors.Is(err, Late) {
			t.Errorf("error %v", err)
		}
		time.AfterFunc(time.Minute, func() { w.mu.Lock(); w.outage = nil; w.mu.Unlock() })
		if err := b.once(t.Context(), term); err != nil {
			t.Errorf("error %v after the outage", err)
		}
	})
}
