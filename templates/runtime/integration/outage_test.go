//go:build integration

package integration_test

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/conformance"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
)

// curious is a user's reconciler whose controller watches eleven kinds more.
type curious struct{ user }

func (curious) Configure(b *reconciler.Builder) error {
	for _, obj := range []client.Object{
		&corev1.ConfigMap{}, &corev1.Secret{}, &corev1.Service{}, &corev1.ServiceAccount{}, &corev1.Pod{},
		&corev1.PersistentVolumeClaim{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{},
		&batchv1.Job{}, &batchv1.CronJob{},
	} {
		b.Watches(obj, handler.Funcs{}, builder.OnlyMetadata)
	}
	return nil
}

// A reflector whose API server refuses connections sleeps for up to half a
// minute without looking at its context, and each of twelve informers has one.
// The shutdown must not wait for them.
func TestShutdownDuringAnOutage(t *testing.T) {
	var n conformance.Network
	w := create(t, &widget{})
	seen := make(chan struct{}, 100)
	o := run(t, n.Through(config), manager.Settings{}, curious{func(_ context.Context, o *widget) error {
		if o.Name == w.Name {
			seen <- struct{}{}
		}
		return nil
	}})
	<-seen
	n.Refuse(true)
	n.Cut(t)
	time.Sleep(8 * time.Second) // for the reflectors' backoff to grow
	took, err := o.end()
	t.Attr("shutdown", took.String())
	if err != nil {
		t.Errorf("Run returned %v", err)
	}
	if took > 3*time.Second {
		t.Errorf("shutdown took %s", took)
	}
}
