//go:build integration

package integration_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// competing returns settings with a lease of the test's own, which a thief
// holds until the returned function is called.
func competing(t *testing.T, name string) (settings manager.Settings, release func()) {
	t.Helper()
	thief, seconds, now := "thief", int32(3600), metav1.NowMicro()
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &thief, LeaseDurationSeconds: &seconds, RenewTime: &now, AcquireTime: &now},
	}
	if err := direct(t).Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	settings = manager.Settings{
		LeaderElection: true, LeaderElectionID: name,
		Leader: leader.Settings{Namespace: "default", LeaseDuration: 2 * time.Second, RetryPeriod: 200 * time.Millisecond},
	}
	return settings, func() {
		seconds = 1
		lease.Spec.LeaseDurationSeconds = &seconds
		if err := direct(t).Update(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
}

// observing is a user's reconciler that sees objects in either mode.
type observing struct {
	user
	observe func(*widget)
}

func (o observing) ObserveKind(_ context.Context, w *widget) error { o.observe(w); return nil }

func TestAnObserverSeesEverythingAndLosesNothing(t *testing.T) {
	settings, release := competing(t, "observer")
	var mu sync.Mutex
	observed, reconciled := map[string]bool{}, map[string]bool{}
	has := func(m map[string]bool, names ...string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names {
				if !m[name] {
					return false
				}
			}
			return true
		}
	}
	before := create(t, &widget{})
	o := run(t, config, settings, observing{
		user: func(_ context.Context, w *widget) error {
			mu.Lock()
			defer mu.Unlock()
			reconciled[w.Name] = true
			return nil
		},
		observe: func(w *widget) { mu.Lock(); defer mu.Unlock(); observed[w.Name] = true },
	})
	meanwhile := create(t, &widget{})
	eventually(t, "observed", has(observed, before.Name, meanwhile.Name))
	if o.runtime.Election().Leading() || len(reconciled) > 0 || ready(get(t, before)).Type != "" {
		t.Error("an observer reconciles")
	}
	release()
	eventually(t, "reconciled", has(reconciled, before.Name, meanwhile.Name))
	eventually(t, "status", func() bool { return ready(get(t, before)).Reason == reconciler.ReasonReconciled })
}

func TestNoClientWritesWhileObserving(t *testing.T) {
	settings, release := competing(t, "fence")
	o := run(t, config, settings, user(func(context.Context, *widget) error { return nil }))
	rt := o.runtime
	typed, err := kubernetes.NewForConfig(rt.GetConfig())
	if err != nil {
		t.Fatal(err)
	}
	untyped, err := dynamic.NewForConfig(rt.GetConfig())
	if err != nil {
		t.Fatal(err)
	}
	widgets := untyped.Resource(runtimetest.GroupVersion.WithResource("widgets")).Namespace("default")
	w := create(t, &widget{})
	maps := typed.CoreV1().ConfigMaps("default")
	one := int32(1)
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "fence"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			},
		},
	}
	if err := direct(t).Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	merge := func(text string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(text)) }
	label := `{"metadata":{"labels":{"a":"b"}}}`
	var all metav1.ListOptions
	all.LabelSelector = "nobody=has"
	// In an order in which they succeed.
	writes := []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"typed create", func(ctx context.Context) error {
			_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "fence"}}, metav1.CreateOptions{})
			return err
		}},
		{"typed update", func(ctx context.Context) error {
			_, err := maps.Update(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "fence"}, Data: map[string]string{"a": "b"}}, metav1.UpdateOptions{})
			return err
		}},
		{"typed patch", func(ctx context.Context) error {
			_, err := maps.Patch(ctx, "fence", types.MergePatchType, []byte(label), metav1.PatchOptions{})
			return err
		}},
		{"server-side apply", func(ctx context.Context) error {
			_, err := maps.Apply(ctx, applycore.ConfigMap("fence", "default").WithData(map[string]string{"c": "d"}), metav1.ApplyOptions{FieldManager: "test", Force: true})
			return err
		}},
		{"delete with a body, which is against the query", func(ctx context.Context) error {
			return typed.CoreV1().RESTClient().Delete().Namespace("default").Resource("configmaps").Name("fence").
				Param("dryRun", metav1.DryRunAll).Body(&metav1.DeleteOptions{}).Do(ctx).Error()
		}},
		{"typed create of what is deleted by now", func(ctx context.Context) error {
			_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "fence"}}, metav1.CreateOptions{})
			return err
		}},
		{"typed delete", func(ctx context.Context) error { return maps.Delete(ctx, "fence", metav1.DeleteOptions{}) }},
		{"delete collection", func(ctx context.Context) error { return maps.DeleteCollection(ctx, metav1.DeleteOptions{}, all) }},
		{"scale", func(ctx context.Context) error {
			_, err := typed.AppsV1().Deployments("default").UpdateScale(ctx, "fence",
				&autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "fence"}, Spec: autoscalingv1.ScaleSpec{Replicas: 2}}, metav1.UpdateOptions{})
			return err
		}},
		{"eviction", func(ctx context.Context) error {
			return client.IgnoreNotFound(typed.CoreV1().Pods("default").EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "none"}}))
		}},
		{"dynamic patch", func(ctx context.Context) error {
			_, err := widgets.Patch(ctx, w.Name, types.MergePatchType, []byte(label), metav1.PatchOptions{})
			return err
		}},
		{"dynamic status", func(ctx context.Context) error {
			_, err := widgets.Patch(ctx, w.Name, types.MergePatchType, []byte(`{"status":{"phase":"p"}}`), metav1.PatchOptions{}, "status")
			return err
		}},
		{"status of the manager's client", func(ctx context.Context) error {
			return rt.GetClient().Status().Patch(ctx, w, merge(`{"status":{"phase":"q"}}`))
		}},
		{"patch of the manager's client", func(ctx context.Context) error { return rt.GetClient().Patch(ctx, w, merge(label)) }},
		{"unstructured by the manager's client", func(ctx context.Context) error {
			u := &unstructured.Unstructured{}
			u.SetGroupVersionKind(runtimetest.GroupVersion.WithKind("Widget"))
			u.SetNamespace(w.Namespace)
			u.SetName(w.Name)
			return rt.GetClient().Patch(ctx, u, merge(`{"spec":{"size":3}}`))
		}},
		{"delete by the manager's client", func(ctx context.Context) error { return rt.GetClient().Delete(ctx, w) }},
	}
	stored := get(t, w).ResourceVersion
	for _, write := range writes {
		err := write.do(t.Context())
		if _, ok := errors.AsType[*fence.RefusedError](err); !ok || !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("%s while observing: %v", write.name, err)
		}
		if got := cause.Classify(t.Context(), err).Name; got != "leadership_lost" {
			t.Errorf("%s: outcome %q", write.name, got)
		}
	}
	if now := get(t, w).ResourceVersion; now != stored {
		t.Error("an observer wrote")
	}
	harmless := map[string]func(ctx context.Context) error{
		"cached read": func(ctx context.Context) error {
			return rt.GetClient().Get(ctx, client.ObjectKeyFromObject(w), &widget{})
		},
		"live read": func(ctx context.Context) error {
			return rt.GetAPIReader().Get(ctx, client.ObjectKeyFromObject(w), &widget{})
		},
		"dry run": func(ctx context.Context) error {
			return rt.GetClient().Patch(ctx, w.DeepCopy(), merge(label), client.DryRunAll)
		},
		"dry run of a deletion": func(ctx context.Context) error { return rt.GetClient().Delete(ctx, w.DeepCopy(), client.DryRunAll) },
		"dry run of a deletion in protobuf": func(ctx context.Context) error {
			return rt.GetClient().Delete(ctx, deployment.DeepCopy(), client.DryRunAll)
		},
		"dry run of a deletion in the query": func(ctx context.Context) error {
			return typed.AppsV1().RESTClient().Delete().Namespace("default").Resource("deployments").Name("fence").Param("dryRun", metav1.DryRunAll).Do(ctx).Error()
		},
		"dry run of deleting a collection": func(ctx context.Context) error {
			return rt.GetClient().DeleteAllOf(ctx, &widget{}, client.InNamespace("default"), client.DryRunAll)
		},
		"access review": func(ctx context.Context) error {
			_, err := typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods"}},
			}, metav1.CreateOptions{})
			return err
		},
		"token review": func(ctx context.Context) error {
			_, err := typed.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "t"}}, metav1.CreateOptions{})
			return err
		},
		"event": func(ctx context.Context) error {
			_, err := typed.EventsV1().Events("default").Create(ctx, &eventsv1.Event{
				ObjectMeta: metav1.ObjectMeta{GenerateName: "fence-"}, EventTime: metav1.NowMicro(), Type: "Normal", Reason: "Tested", Action: "Test",
				ReportingController: "test", ReportingInstance: "test", Regarding: corev1.ObjectReference{Kind: "Widget", Namespace: "default", Name: w.Name},
			}, metav1.CreateOptions{})
			return err
		},
	}
	for name, do := range harmless {
		if err := do(t.Context()); err != nil {
			t.Errorf("%s while observing: %v", name, err)
		}
	}
	if now := get(t, w); now.ResourceVersion != stored || now.DeletionTimestamp != nil {
		t.Error("a dry run changed something")
	}
	if err := direct(t).Get(t.Context(), client.ObjectKeyFromObject(deployment), &appsv1.Deployment{}); err != nil {
		t.Errorf("a dry run deleted something: %v", err)
	}
	release()
	eventually(t, "elected", rt.Election().Leading)
	for _, write := range writes {
		if err := write.do(t.Context()); err != nil {
			t.Errorf("%s while leading: %v", write.name, err)
		}
	}
}

// The other cluster is the same one, by way of a proxy.
func TestAnotherClusterIsWrittenToOnlyInATerm(t *testing.T) {
	settings, release := competing(t, "abroad")
	o := run(t, config, settings, user(func(context.Context, *widget) error { return nil }))
	address, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	below, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(address)
	proxy.Transport = below
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)

	fenced, err := o.runtime.Election().Fence(&rest.Config{Host: strings.TrimPrefix(server.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	other, err := cluster.New(fenced, func(o *cluster.Options) { o.Scheme = runtimetest.Scheme() })
	if err != nil {
		t.Fatal(err)
	}
	w := create(t, &widget{})
	mark := func() error {
		return other.GetClient().Patch(t.Context(), w.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`)))
	}
	var refused *fence.RefusedError
	if err := mark(); !errors.As(err, &refused) {
		t.Errorf("while observing: %v", err)
	}
	if err := other.GetAPIReader().Get(t.Context(), client.ObjectKeyFromObject(w), &widget{}); err != nil {
		t.Errorf("read while observing: %v", err)
	}
	release()
	eventually(t, "elected", o.runtime.Election().Leading)
	if err := mark(); err != nil || get(t, w).Labels["a"] != "b" {
		t.Errorf("while leading: %v", err)
	}
}

// Two replicas of a Deployment whose arguments give both the same identity.
func TestOneOfTwoReplicasWithTheSameIdentityLeads(t *testing.T) {
	settings, release := competing(t, "identity")
	settings.Leader.Identity = "same"
	release()
	one := run(t, config, settings, user(func(context.Context, *widget) error { return nil }))
	eventually(t, "elected", one.runtime.Election().Leading)
	term, err := one.runtime.Election().Term()
	if err != nil {
		t.Fatal(err)
	}
	two := run(t, config, settings, user(func(context.Context, *widget) error { return nil }))
	eventually(t, "told", func() bool {
		return two.logged("Give each process an identity of its own: leave --leader-elect-identity out, or make it the pod's name") != nil
	})
	if err := term.Check(); err != nil || two.runtime.Election().Leading() {
		t.Errorf("the one that led is not left alone: %v", err)
	}
}

// Webhooks, caches and probes go on while a replica observes.
func TestReadyInBothModes(t *testing.T) {
	settings, release := competing(t, "ready")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	settings.ProbeBindAddress, settings.MetricsBindAddress = address, "0"
	ctx, stop := context.WithCancel(t.Context())
	rt, err := manager.New(ctx, config, manager.Options{
		Scheme: runtimetest.Scheme(), Settings: settings,
		Configure: func(o *ctrl.Options) { o.Controller.SkipNameValidation = new(true) },
	})
	if err != nil {
		t.Fatal(err)
	}
	loop, err := reconciler.New(rt, kind(), user(func(context.Context, *widget) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	if err := loop.Register(rt, chain.Wrap(loop.Reconcile, rt.Election().Gate(loop.Observe), loop.Budget), rt.Gains(&runtimetest.WidgetList{})); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx) }()
	says := func(want string) func() bool {
		return func() bool {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz?verbose", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return false // it does not serve yet
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			return err == nil && response.StatusCode == http.StatusOK && strings.Contains(string(body), "[+]"+want+" ok")
		}
	}
	eventually(t, "ready as an observer", says("observing"))
	release()
	eventually(t, "ready as the leader", says("leading"))
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	lease := &coordinationv1.Lease{}
	if err := direct(t).Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "ready"}, lease); err != nil || *lease.Spec.HolderIdentity != "" {
		t.Errorf("the lease is not released: %+v, %v", lease.Spec, err)
	}
}
