package freshness

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applydeployments "k8s.io/client-go/applyconfigurations/apps/v1"
	applyscale "k8s.io/client-go/applyconfigurations/autoscaling/v1"
	"k8s.io/client-go/rest"
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

// lateMetadata is a world whose cache has an informer of metadata beside that of
// widgets, which has seen nothing since.
type lateMetadata struct {
	*world
	shown map[types.NamespacedName]*widget
}

func (l lateMetadata) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if _, ok := obj.(*metav1.PartialObjectMetadata); ok {
		return copyOf(l.shown, key, obj)
	}
	return l.world.Get(ctx, key, obj, opts...)
}

func TestEachRepresentationIsLateByItself(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		r.Cached = lateMetadata{w, map[types.NamespacedName]*widget{key: w.stored[key].DeepCopy()}}
		version := func() string {
			obj := &metav1.PartialObjectMetadata{}
			obj.SetGroupVersionKind(gvk)
			if err := r.Get(t.Context(), key, obj); err != nil {
				t.Error(err)
			}
			return obj.ResourceVersion
		}
		_ = version()
		stored := write(t, w, c, 7)
		w.see()
		if got := sizeOf(t, r); got != 7 || w.lives() != 0 {
			t.Errorf("read size %d after 7 was written, with %d live reads", got, w.lives())
		}
		if got := version(); got != stored.ResourceVersion {
			t.Errorf("metadata of version %s after %s was written", got, stored.ResourceVersion)
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
				f, _ := r.Keep.floor(view{gvk, inType}, key)
				if f.noted = (time.Time{}); f != test.want {
					t.Errorf("the floor is %+v, want %+v", f, test.want)
				}
			})
		})
	}
}

// What was seen of an object that is not to be deleted like that is older than what is stored.
func TestARefusedDeletionIsKnown(t *testing.T) {
	for name, test := range map[string]struct {
		of   client.Preconditions
		want floor
	}{
		"by its version": {client.Preconditions{ResourceVersion: new("7"), UID: new(types.UID("uid-1"))}, floor{version: 8}},
		"by its UID":     {client.Preconditions{UID: new(types.UID("uid-1"))}, floor{unknown: true}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
				obj := w.stored[key].DeepCopy()
				w.answer = apierrors.NewConflict(resource, "w", errors.New("precondition"))
				if err := c.Delete(t.Context(), obj, test.of); !errors.Is(err, w.answer) {
					t.Fatal(err)
				}
				f, _ := r.Keep.floor(view{gvk, inType}, key)
				if f.noted = (time.Time{}); f != test.want {
					t.Errorf("the floor is %+v, want %+v", f, test.want)
				}
			})
		})
	}
}

// scaling answers what is applied to a scale with the scale, as clients do.
type scaling struct{ *world }

func (s scaling) SubResource(string) client.SubResourceClient { return scale{} }

type scale struct{ client.SubResourceClient }

func (scale) Apply(_ context.Context, obj runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
	return json.Unmarshal([]byte(`{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"w","namespace":"default","resourceVersion":"9"}}`), obj)
}

func TestTheScaleOfAnObjectIsAppliedToTheObject(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *Client, r *Reader) {
		c := NewClient(scaling{w}, r.Keep)
		obj := applydeployments.Deployment(key.Name, key.Namespace).WithKind(gvk.Kind).WithAPIVersion(gvk.GroupVersion().String())
		body := &client.SubResourceApplyOptions{SubResourceBody: applyscale.Scale()}
		if err := c.SubResource("scale").Apply(t.Context(), obj, body); err != nil {
			t.Fatal(err)
		}
		if f, _ := r.Keep.floor(view{gvk, inType}, key); !f.unknown {
			t.Errorf("the floor is %+v", f)
		}
	})
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

// Two objects of one name were deleted, and the cache still shows the first.
func TestTwoDeletedObjectsOfOneNameAreNotReadAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		first := w.stored[key].DeepCopy()
		second := first.DeepCopy()
		second.UID = "uid-2"
		for _, obj := range []*widget{first, second} {
			if err := c.Delete(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Get(t.Context(), key, &widget{}); !apierrors.IsNotFound(err) {
			t.Errorf("error %v", err)
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

// knowing has r know how far its cache is.
func knowing(w *world, r *Reader) {
	r.seen = func(context.Context, client.Object) uint64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		return uint64(w.seen)
	}
}

// An object that this process wrote is deleted by somebody else.
func TestWhatIsGoneSinceItWasWrittenIsNotAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		knowing(w, r)
		write(t, w, c, 7)
		w.remove(key)
		w.see()
		begin := time.Now()
		if err := r.Get(t.Context(), key, &widget{}); !apierrors.IsNotFound(err) || w.lives() != 0 || time.Since(begin) != 0 {
			t.Errorf("error %v after %s, with %d live reads", err, time.Since(begin), w.lives())
		}
		if n := r.Keep.pending.Load(); n != 0 {
			t.Errorf("%d floors of what is gone", n)
		}
		if err := c.Create(t.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "uid-2"}}); err != nil {
			t.Fatal(err)
		}
		if err := r.Get(t.Context(), key, &widget{}); err != nil {
			t.Errorf("error %v of what was created, and is not in the cache yet", err)
		}
	})
}

func TestWhatComesWhileTheCacheIsAskedHowFarItIsIsRead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		knowing(w, r)
		far := r.seen
		r.seen = func(ctx context.Context, obj client.Object) uint64 { w.see(); return far(ctx, obj) }
		second := types.NamespacedName{Namespace: key.Namespace, Name: "w2"}
		if err := c.Create(t.Context(), &widget{ObjectMeta: metav1.ObjectMeta{Namespace: second.Namespace, Name: second.Name}}); err != nil {
			t.Fatal(err)
		}
		if err := r.Get(t.Context(), second, &widget{}); err != nil {
			t.Error(err)
		}
	})
}

// A cache that holds a selection never shows what is not in it.
func TestAPartialCacheIsBelievedAboutWhatItLacks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		r.Keep.scope = scope{others: holding{rest: selector{label: labels.Nothing()}, namespaces: map[string]selector{
			key.Namespace: {}, "other": {label: red},
		}}}
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
				canceled, cancel := context.WithCancel(t.Context())
				cancel()
				if err := read(canceled, r); !errors.Is(err, context.Canceled) || errors.Is(err, Late) {
					t.Errorf("error %v of a read that was given up", err)
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
				r.Keep.written(gvk.GroupKind(), types.NamespacedName{Name: fmt.Sprint(prefix, i)}, "7", false)
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
		w.see()
		for _, at := range []types.NamespacedName{key, client.ObjectKeyFromObject(gone)} {
			if err := r.Get(t.Context(), at, &widget{}); client.IgnoreNotFound(err) != nil || w.lives() != asked+1 {
				t.Errorf("%s: error %v, and a live read when the cache has caught up", at, err)
			}
		}
	})
}

// paged answers a list with one object after the other, and fails where it is told to.
type paged struct {
	*world
	tokens []string // that it was given
	fail   func(token string) error
}

func (p *paged) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	if err := p.fail(o.Continue); err != nil {
		return err
	}
	p.tokens = append(p.tokens, o.Continue)
	all := &metav1.PartialObjectMetadataList{}
	if err := (liveWorld{p.world}).List(ctx, all); err != nil {
		return err
	}
	slices.SortFunc(all.Items, func(a, b metav1.PartialObjectMetadata) int { return cmp.Compare(a.Name, b.Name) })
	n, _ := strconv.Atoi(o.Continue)
	list.(*metav1.PartialObjectMetadataList).Items = all.Items[n : n+1]
	if n+1 < len(all.Items) {
		list.SetContinue(strconv.Itoa(n + 1))
	}
	return nil
}

// A list of many objects takes longer than one pass has.
func TestABarrierGoesOnWhereTheLastPassHadToStop(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *Client, r *Reader) {
		w.put(&widget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "w2", UID: "uid-2"}})
		w.see()
		write(t, w, w, 7)
		ended, end := context.WithCancelCause(t.Context())
		live := &paged{world: w, fail: func(token string) error {
			if token == "1" {
				end(cause.Superseded)
			}
			return context.Cause(ended)
		}}
		b := NewBarrier(r.Keep, w, live, gvk, &runtimetest.WidgetList{})
		term := &leader.Term{}
		if err := b.once(ended, term); !errors.Is(err, cause.Superseded) {
			t.Errorf("error %v of a pass that was ended", err)
		}
		live.fail = func(string) error { return nil }
		if err := b.once(t.Context(), term); err != nil || !slices.Equal(live.tokens, []string{"", "1"}) {
			t.Errorf("error %v, listed at %q", err, live.tokens)
		}
		if n := r.Keep.pending.Load(); n != 1 {
			t.Errorf("%d objects are late, want the one that was written", n)
		}
		live.tokens, live.fail = nil, func(token string) error {
			if token == "1" && len(live.tokens) == 1 {
				return apierrors.NewResourceExpired("too old")
			}
			return nil
		}
		if err := b.once(t.Context(), &leader.Term{}); err != nil || !slices.Equal(live.tokens, []string{"", "", "1"}) {
			t.Errorf("error %v, listed at %q after what was listed had become too old", err, live.tokens)
		}
	})
}

// It is no object that is gone, of which a pass has nothing to do.
func TestAKindThatIsNotServedIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *Client, r *Reader) {
		w.outage = apierrors.NewGenericServerResponse(http.StatusNotFound, "get", resource, "", "404 page not found", 0, true)
		err := NewBarrier(r.Keep, w, liveWorld{w}, gvk, &runtimetest.WidgetList{}).once(t.Context(), &leader.Term{})
		if err == nil || apierrors.IsNotFound(err) {
			t.Errorf("error %v", err)
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

// object is a widget as it is to be created.
func object(name string) *widget {
	return &widget{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name, UID: types.UID("uid-" + name)}}
}

// letting is a world in which an update takes off the last finalizer.
type letting struct{ *world }

func (l letting) Update(_ context.Context, obj client.Object, _ ...client.UpdateOption) error {
	l.remove(client.ObjectKeyFromObject(obj))
	obj.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
	obj.SetDeletionGracePeriodSeconds(new(int64))
	return nil // with the version that it was made from
}

func TestAnUpdateThatTakesOffTheLastFinalizerIsADeletion(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *Client, r *Reader) {
		w.stored[key].Finalizers = []string{"example.com/x"}
		w.see()
		obj := w.stored[key].DeepCopy()
		obj.Finalizers = nil
		if err := NewClient(letting{w}, r.Keep).Update(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		if err := r.Get(t.Context(), key, &widget{}); !apierrors.IsNotFound(err) {
			t.Errorf("error %v", err)
		}
	})
}

// Of a pod that has time to end, an update removes nothing.
func TestAnUpdateOfWhatStillEndsIsNoDeletion(t *testing.T) {
	obj := object("p")
	obj.DeletionTimestamp, obj.DeletionGracePeriodSeconds = &metav1.Time{}, new(int64(30))
	obj.DeletionTimestamp.Time = time.Now()
	if ended(obj) {
		t.Error("taken for gone")
	}
}

// The cache learns of the creation after the API server has told of the end.
func TestWhatIsGoneDoesNotComeBack(t *testing.T) {
	for name, knows := range map[string]bool{"the cache tells how far it is": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
				if knows {
					knowing(w, r)
				}
				obj := object("brief")
				at := client.ObjectKeyFromObject(obj)
				read := func() {
					t.Helper()
					if err := r.Get(t.Context(), at, &widget{}); !apierrors.IsNotFound(err) {
						t.Errorf("error %v", err)
					}
				}
				if err := c.Create(t.Context(), obj); err != nil {
					t.Fatal(err)
				}
				created := w.stored[at].DeepCopy()
				if err := c.Delete(t.Context(), obj.DeepCopy()); err != nil {
					t.Fatal(err)
				}
				read()
				read() // that the cache has none is no news
				w.mu.Lock()
				w.shown[at], w.seen = created, w.version-1
				w.mu.Unlock()
				read()
				w.see()
				read()
				if n := r.Keep.pending.Load(); knows && n != 0 {
					t.Errorf("%d floors when the cache has caught up", n)
				}
				if err := c.Create(t.Context(), object("brief")); err != nil {
					t.Fatal(err)
				}
				if err := r.Get(t.Context(), at, &widget{}); err != nil {
					t.Errorf("another object of the same name: %v", err)
				}
			})
		})
	}
}

// A cache holds what is red, which a write has made an object be.
func TestWhatIsBroughtIntoTheSelectionIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		r.Keep.scope = scope{others: holding{rest: selector{label: red}}}
		clear(w.shown)
		obj := w.stored[key].DeepCopy()
		obj.Labels = map[string]string{"color": "red"}
		if err := c.Update(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, w.see)
		list := &runtimetest.WidgetList{}
		if err := r.List(t.Context(), list); err != nil || len(list.Items) != 1 {
			t.Errorf("%d items, error %v", len(list.Items), err)
		}
	})
}

// Whether an object is in the selection of a cache is not known by every field.
func TestWhatIsKnownToBeInASelection(t *testing.T) {
	for field, want := range map[string]bool{"metadata.name=w": true, "metadata.name=other": false, "spec.size=7": false} {
		s := scope{others: holding{rest: selector{field: fields.ParseSelectorOrDie(field)}}}
		if got := s.holds(gvk.GroupKind(), object("w")); got != want {
			t.Errorf("%s: %t", field, got)
		}
	}
}

// losing is a world in which the answers to creations are lost.
type losing struct{ *world }

func (l losing) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	stored := obj.DeepCopyObject().(*widget)
	stored.Name = stored.GenerateName + "x"
	l.put(stored)
	return context.DeadlineExceeded
}

// Nobody knows whether, and under which name, there is one.
func TestAListHasWhatMayHaveBeenCreatedUnderAnyName(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *Client, r *Reader) {
		create := func() {
			obj := object("")
			obj.GenerateName = "child-"
			if err := NewClient(losing{w}, r.Keep).Create(t.Context(), obj); err == nil {
				t.Fatal("no error")
			}
		}
		create()
		list := &runtimetest.WidgetList{}
		if err := r.List(t.Context(), list, client.InNamespace("other")); err != nil || w.lives() != 0 {
			t.Errorf("error %v, %d live reads for another namespace", err, w.lives())
		}
		time.AfterFunc(Patience/2, w.see)
		if err := r.List(t.Context(), list, client.InNamespace(key.Namespace)); err != nil || len(list.Items) != 2 || w.lives() != 1 {
			t.Errorf("%d items, error %v, %d live reads", len(list.Items), err, w.lives())
		}
		if err := r.List(t.Context(), list); err != nil || w.lives() != 1 || r.Keep.pending.Load() != 0 {
			t.Errorf("error %v, %d live reads, %d floors when all is known", err, w.lives(), r.Keep.pending.Load())
		}
		create()
		w.outage = apierrors.NewForbidden(resource, "", errors.New("may not list"))
		if err := r.List(t.Context(), list); !apierrors.IsForbidden(err) {
			t.Errorf("error %v where nobody can say", err)
		}
		w.outage = apierrors.NewServiceUnavailable("down")
		time.AfterFunc(time.Minute, func() { w.mu.Lock(); w.outage = nil; w.mu.Unlock(); w.see() })
		if err := r.List(t.Context(), list); err != nil {
			t.Errorf("error %v after an outage", err)
		}
	})
}

func TestARefusedCreateWithoutANameIsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
		w.answer = apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, key.Namespace)
		obj := object("")
		obj.GenerateName = "child-"
		if err := c.Create(t.Context(), obj); err == nil || r.Keep.pending.Load() != 0 {
			t.Errorf("error %v, %d floors", err, r.Keep.pending.Load())
		}
	})
}

// The cache may get there also where the API server does not want to say.
func TestWhoMayNotAskWaitsForTheCache(t *testing.T) {
	for name, read := range map[string]func(context.Context, *Reader) error{
		"get":  func(ctx context.Context, r *Reader) error { return r.Get(ctx, key, &widget{}) },
		"list": func(ctx context.Context, r *Reader) error { return r.List(ctx, &runtimetest.WidgetList{}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
				write(t, w, c, 7)
				w.outage = apierrors.NewForbidden(resource, "w", errors.New("may not get"))
				time.AfterFunc(time.Minute, w.see)
				if err := read(t.Context(), r); err != nil {
					t.Errorf("error %v", err)
				}
				w.answer = context.DeadlineExceeded
				write(t, w, c, 8)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := read(ctx, r); !apierrors.IsForbidden(err) || errors.Is(err, Late) {
					t.Errorf("error %v where nobody can say", err)
				}
			})
		})
	}
}

// applying answers what is applied to a widget.
type applying struct {
	*world
	version string
}

func (a applying) Apply(_ context.Context, obj runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	if a.answer != nil {
		return a.answer
	}
	return json.Unmarshal([]byte(`{"metadata":{"resourceVersion":"`+a.version+`","uid":"uid-1"}}`), obj)
}

func TestAnApplyIsAWriteLikeOthers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *Client, r *Reader) {
		c := NewClient(applying{w, "9"}, r.Keep)
		obj := applydeployments.Deployment(key.Name, key.Namespace).WithKind(gvk.Kind).WithAPIVersion(gvk.GroupVersion().String()).WithResourceVersion("7")
		var s seen
		ctx := &Witnessed{Context: t.Context(), Witness: &s}
		w.answer = apierrors.NewConflict(resource, key.Name, errors.New("modified"))
		if err := c.Apply(ctx, obj); err == nil {
			t.Fatal("no conflict")
		}
		if f, _ := r.Keep.floor(view{gvk, inType}, key); f.version != 8 || len(s) != 0 {
			t.Errorf("after a conflict the floor is %+v, told of %v", f, s)
		}
		w.answer = nil
		if err := c.Apply(ctx, obj); err != nil {
			t.Fatal(err)
		}
		if f, _ := r.Keep.floor(view{gvk, inType}, key); f.version != 9 || !slices.Equal(s, seen{"9"}) {
			t.Errorf("the floor is %+v, told of %v", f, s)
		}
	})
}

// A conflict about another object, as of the use of a quota, says nothing of this one.
func TestAConflictAboutAnotherObjectIsNone(t *testing.T) {
	conflict := func(of schema.GroupResource, name string) error {
		return apierrors.NewConflict(of, name, errors.New("modified"))
	}
	for name, about := range map[string]error{
		"of another name":          conflict(resource, "other"),
		"of another group":         conflict(schema.GroupResource{Group: "example.org", Resource: "widgets"}, key.Name),
		"a quota of the same name": conflict(schema.GroupResource{Group: gvk.Group, Resource: "resourcequotas"}, key.Name),
	} {
		bubble(t, func(t *testing.T, w *world, c *Client, r *Reader) {
			w.answer = about
			if err := c.Update(t.Context(), w.stored[key].DeepCopy()); err == nil || r.Keep.pending.Load() != 0 {
				t.Errorf("%s: error %v, %d floors", name, err, r.Keep.pending.Load())
			}
		})
	}
}

// evicting has subresources.
type evicting struct{ *world }

func (e evicting) SubResource(string) client.SubResourceClient { return eviction{} }

type eviction struct{ client.SubResourceClient }

func (eviction) Create(context.Context, client.Object, client.Object, ...client.SubResourceCreateOption) error {
	return nil
}

func TestAnEvictionIsLookedUp(t *testing.T) {
	for subresource, want := range map[string]bool{"eviction": true, "binding": true, "token": false} {
		bubble(t, func(t *testing.T, w *world, _ *Client, r *Reader) {
			err := NewClient(evicting{w}, r.Keep).SubResource(subresource).Create(t.Context(), w.stored[key].DeepCopy(), &widget{})
			if f, _ := r.Keep.floor(view{gvk, inType}, key); err != nil || f.unknown != want {
				t.Errorf("%s: error %v, the floor is %+v", subresource, err, f)
			}
		})
	}
}

// What the client reads from the API server is not late.
func TestABarrierOfAKindThatIsReadLiveAsksNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *Client, r *Reader) {
		made := r.Keep.Client(func(*rest.Config, client.Options) (client.Client, error) { return w, nil })
		if _, err := made(nil, client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&widget{}}}}); err != nil {
			t.Fatal(err)
		}
		write(t, w, w, 7)
		b := NewBarrier(r.Keep, w, liveWorld{w}, gvk, &runtimetest.WidgetList{})
		if err := b.once(t.Context(), &leader.Term{}); err != nil || w.lives() != 0 || r.Keep.pending.Load() != 0 {
			t.Errorf("error %v, %d live reads, %d floors", err, w.lives(), r.Keep.pending.Load())
		}
	})
}
