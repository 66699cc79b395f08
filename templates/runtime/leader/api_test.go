package leader

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	applycoordination "k8s.io/client-go/applyconfigurations/coordination/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// api stands in for the API server as far as leases of one namespace go. Each
// write has a resource version of its own, updates are checked against it, and
// watches are told of everything.
type api struct {
	coordination.LeaseInterface

	mu       sync.Mutex
	version  int
	stored   map[string]*coordinationv1.Lease
	watchers map[*watch.RaceFreeFakeWatcher]func(*coordinationv1.Lease) bool
	log      []string // of writes, as verb and name
}

func newAPI() *api {
	return &api{version: 1, stored: map[string]*coordinationv1.Lease{}, watchers: map[*watch.RaceFreeFakeWatcher]func(*coordinationv1.Lease) bool{}}
}

var leasesResource = coordinationv1.Resource("leases")

func (a *api) Get(_ context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l, ok := a.stored[name]; ok {
		return l.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(leasesResource, name)
}

func (a *api) Create(_ context.Context, l *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.stored[l.Name]; ok {
		return nil, apierrors.NewAlreadyExists(leasesResource, l.Name)
	}
	return a.store("create", l, watch.Added), nil
}

func (a *api) Update(_ context.Context, l *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch old, ok := a.stored[l.Name]; {
	case !ok:
		return nil, apierrors.NewNotFound(leasesResource, l.Name)
	case old.ResourceVersion != l.ResourceVersion:
		return nil, apierrors.NewConflict(leasesResource, l.Name, errors.New("modified"))
	}
	return a.store("update", l, watch.Modified), nil
}

func (a *api) Apply(_ context.Context, c *applycoordination.LeaseApplyConfiguration, _ metav1.ApplyOptions) (*coordinationv1.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: *c.Name, Namespace: *c.Namespace, Labels: c.Labels},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: c.Spec.HolderIdentity, LeaseDurationSeconds: c.Spec.LeaseDurationSeconds, RenewTime: c.Spec.RenewTime},
	}
	return a.store("apply", l, watch.Modified), nil
}

func (a *api) Delete(_ context.Context, name string, _ metav1.DeleteOptions) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, ok := a.stored[name]
	if !ok {
		return apierrors.NewNotFound(leasesResource, name)
	}
	a.store("delete", l, watch.Deleted)
	delete(a.stored, name)
	return nil
}

func (a *api) List(_ context.Context, o metav1.ListOptions) (*coordinationv1.LeaseList, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := &coordinationv1.LeaseList{}
	list.ResourceVersion = strconv.Itoa(a.version)
	only, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, err
	}
	for _, l := range a.stored {
		if only.Matches(labels.Set(l.Labels)) && (o.FieldSelector == "" || o.FieldSelector == "metadata.name="+l.Name) {
			list.Items = append(list.Items, *l.DeepCopy())
		}
	}
	return list, nil
}

func (a *api) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return a.watch(ctx, func(l *coordinationv1.Lease) bool { return o.FieldSelector == "metadata.name="+l.Name }), nil
}

// watch returns a watch of the leases wanted, which ends with ctx.
func (a *api) watch(ctx context.Context, wanted func(*coordinationv1.Lease) bool) watch.Interface {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := watch.NewRaceFreeFake()
	a.watchers[w] = wanted
	context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.watchers, w)
		w.Stop()
	})
	return w
}

// store keeps l under a new version and tells the watchers.
func (a *api) store(verb string, l *coordinationv1.Lease, event watch.EventType) *coordinationv1.Lease {
	l = l.DeepCopy()
	a.version++
	l.ResourceVersion = strconv.Itoa(a.version)
	a.stored[l.Name] = l
	a.log = append(a.log, verb+" "+l.Name)
	for w, wanted := range a.watchers {
		if wanted(l) {
			w.Action(event, l.DeepCopy())
		}
	}
	return l.DeepCopy()
}

// edit changes the Lease as somebody with kubectl would.
func (a *api) edit(change func(*coordinationv1.Lease)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.stored[leaseName].DeepCopy()
	change(l)
	a.store("edit", l, watch.Modified)
}

// steal puts another holder into the Lease.
func (a *api) steal(thief string, d time.Duration) {
	a.edit(func(l *coordinationv1.Lease) {
		seconds, moment := int32(d/time.Second), metav1.NewMicroTime(time.Now())
		next := transitions(l) + 1
		l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime, l.Spec.LeaseTransitions = &thief, &seconds, &moment, &next
	})
}

// restore brings back what was stored at a time when only versions up to this one
// had been given out: backup, or nothing if that is nil. All watches end.
func (a *api) restore(backup *coordinationv1.Lease, version int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version = version
	delete(a.stored, leaseName)
	if backup != nil {
		backup = backup.DeepCopy()
		backup.ResourceVersion = strconv.Itoa(version)
		a.stored[leaseName] = backup
	}
	for w := range a.watchers {
		w.Stop()
		delete(a.watchers, w)
	}
}

// holder returns who holds the Lease, "-" if there is none.
func (a *api) holder() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l, ok := a.stored[leaseName]; ok {
		return holder(l)
	}
	return "-"
}

// names returns the names of the leases there are, with their holders.
func (a *api) names() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := map[string]string{}
	for name, l := range maps.All(a.stored) {
		names[name] = holder(l)
	}
	return names
}

// line is one process's connection to the api, which can be cut. What is sent
// while it is cut hangs until its context ends; a watch just falls silent.
type line struct {
	*api
	timeout time.Duration
	mu      sync.Mutex
	cut     bool
	deaf    bool          // watches bring nothing
	late    time.Duration // how late the answers to writes come
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

func (l *line) pass(ctx context.Context) error {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if !cut {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	<-ctx.Done()
	return ctx.Err()
}

func (l *line) Get(ctx context.Context, name string, o metav1.GetOptions) (*coordinationv1.Lease, error) {
	if err := l.pass(ctx); err != nil {
		return nil, err
	}
	return l.api.Get(ctx, name, o)
}

func (l *line) Create(ctx context.Context, lease *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	if err := l.pass(ctx); err != nil {
		return nil, err
	}
	defer time.Sleep(l.late)
	return l.api.Create(ctx, lease, o)
}

func (l *line) Update(ctx context.Context, lease *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if err := l.pass(ctx); err != nil {
		return nil, err
	}
	defer time.Sleep(l.late)
	return l.api.Update(ctx, lease, o)
}

func (l *line) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return l.watch(ctx, func(lease *coordinationv1.Lease) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !l.deaf && !l.cut && o.FieldSelector == "metadata.name="+lease.Name
	}), nil
}

// slowly answers late.
type slowly struct {
	*api
	delay time.Duration
}

func (s *slowly) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	updated, err := s.api.Update(ctx, l, o)
	time.Sleep(s.delay)
	return updated, err
}

// stealing lets a thief in after each look at the Lease.
type stealing struct{ *api }

func (s *stealing) Get(ctx context.Context, name string, o metav1.GetOptions) (*coordinationv1.Lease, error) {
	l, err := s.api.Get(ctx, name, o)
	if err == nil {
		s.steal("thief", time.Second)
	}
	return l, err
}

const leaseName = "operator"

// times are those of the tests.
var times = Settings{Name: leaseName, Namespace: "system", LeaseDuration: 5 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 500 * time.Millisecond, Margin: 500 * time.Millisecond}

// replica is a process that competes.
type replica struct {
	*Election
	line *line
	log  *lines
	stop func() // stops it and waits for its end
}

// lines are what a replica logs.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) add(prefix, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, prefix+text)
}

// errors returns the lines that are errors.
func (l *lines) errors() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.text), func(line string) bool { return !strings.Contains(line, `"error"=`) })
}

// compete starts a replica that ends with the test.
func compete(t *testing.T, a *api, identity string, change ...func(*Election, *line)) *replica {
	t.Helper()
	settings := times
	settings.Identity = identity
	return competeWith(t, a, settings, change...)
}

func competeWith(t *testing.T, a *api, settings Settings, change ...func(*Election, *line)) *replica {
	t.Helper()
	settings, err := settings.Complete()
	if err != nil {
		t.Fatal(err)
	}
	l := &line{api: a, timeout: settings.RenewDeadline / 2}
	e, err := newElection(settings, l, l)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(e, l)
	}
	log := &lines{}
	ctx, cancel := context.WithCancel(logr.NewContext(t.Context(), funcr.New(log.add, funcr.Options{})))
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	stop := func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return &replica{Election: e, line: l, log: log, stop: stop}
}

// await waits until the replica leads in another term than last.
func (r *replica) await(t *testing.T, last *Term) *Term {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	term, ok := r.next(ctx, last)
	if !ok {
		t.Fatalf("%s is not elected within a minute", r.settings.Identity)
	}
	return term
}

// lastRenewed returns when the last renewal of a term was sent.
func lastRenewed(term *Term) time.Time {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.renewed.monotonic
}

// between is a time at which no renewal happens: they happen each half second.
const between = 10*time.Second + 100*time.Millisecond

// ended waits for the end of a term and returns its cause, and how long it took.
func ended(t *testing.T, term *Term) (time.Duration, error) {
	t.Helper()
	begin := time.Now()
	select {
	case <-term.ctx.Done():
	case <-time.After(time.Minute):
		t.Fatal("the term goes on for a minute")
	}
	return time.Since(begin), context.Cause(term.ctx)
}

// bubble runs f with a clock of its own, which only moves when all wait.
func bubble(t *testing.T, f func(t *testing.T, a *api)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newAPI()) })
}
