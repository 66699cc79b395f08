package main

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// plain runs the operator as kubebuilder's main does, with the same lease and
// the same work.
func plain(ctx context.Context, config *rest.Config, o options, line *network) error {
	settings, err := o.leader.Complete()
	if err != nil {
		return err
	}
	hurried := rest.CopyConfig(config)
	hurried.Timeout = settings.RenewDeadline / 2
	leases, err := coordination.NewForConfig(hurried)
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  runtimetest.Scheme(),
		Metrics: metricsserver.Options{BindAddress: "0"},

		HealthProbeBindAddress: o.probes,
		Cache:                  cache.Options{DefaultNamespaces: map[string]cache.Config{o.namespace: {}}},
		LeaderElection:         true,
		LeaderElectionResourceLockInterface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: settings.Namespace, Name: settings.Name},
			Client:     leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: settings.Identity},
		},
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &settings.LeaseDuration,
		RenewDeadline:                 &settings.RenewDeadline,
		RetryPeriod:                   &settings.RetryPeriod,
	})
	if err != nil {
		return err
	}
	work := reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
		w := &runtimetest.Widget{}
		if err := mgr.GetClient().Get(ctx, r.NamespacedName, w); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		before := w.DeepCopy()
		w.Status.Serial++
		w.Status.Phase = settings.Identity + "/life"
		w.Status.ObservedGeneration = w.Generation
		return reconcile.Result{RequeueAfter: pause}, mgr.GetClient().Status().Patch(ctx, w, client.MergeFrom(before))
	})
	if err := ctrl.NewControllerManagedBy(mgr).Named("widget").For(&runtimetest.Widget{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Complete(work); err != nil {
		return err
	}
	go func() {
		<-mgr.Elected()
		tell(event{Event: "leading", Term: settings.Identity + "/life"})
	}()
	if err := serve(ctx, o.address, &api{client: mgr.GetClient(), namespace: o.namespace}, line); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
