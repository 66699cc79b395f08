package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"runtime/debug"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
	runtimewatch "github.com/ctxscaffold/ctxscaffold/templates/runtime/watch"
)

// cluster is the experimenter's own access to the API server.
type cluster struct {
	client.WithWatch
	config *rest.Config
}

func newCluster(config *rest.Config, crds string) (*cluster, error) {
	config = rest.CopyConfig(config)
	config.UserAgent, config.QPS = "experimenter", -1
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{crds}, ErrorIfPathMissing: true}); err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: runtimetest.Scheme()})
	if err != nil {
		return nil, err
	}
	return &cluster{c, config}, nil
}

// versions returns those of the API server and of the libraries whose election
// is measured, by name.
func (c *cluster) versions() (map[string]string, error) {
	asking, err := discovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		return nil, err
	}
	server, err := asking.ServerVersion()
	if err != nil {
		return nil, err
	}
	found := map[string]string{"kube-apiserver": server.GitVersion}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("this program does not know what it is built from")
	}
	for _, d := range build.Deps {
		switch name := path.Base(d.Path); name {
		case "controller-runtime", "client-go":
			found[name] = d.Version
		}
	}
	return found, nil
}

// populate makes a namespace with n widgets.
func (c *cluster) populate(ctx context.Context, namespace string, n int) error {
	if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	for i := range n {
		w := &runtimetest.Widget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprint("w", i)}}
		if err := c.Create(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// heartbeatOf labels the heartbeats of the competitors for a lease.
const heartbeatOf = "leader.ctxscaffold.dev/heartbeat-of"

// record fills a history from watches of the widgets, the lease and the heartbeats,
// until ctx ends.
func (c *cluster) record(ctx context.Context, namespace string, h *history) {
	serials := map[string]int64{} // by widget: other writes leave it as it is
	watches := map[runtimewatch.Source]handler{
		runtimewatch.For(c, &runtimetest.WidgetList{}, client.InNamespace(namespace)): func(e watch.Event) {
			w := e.Object.(*runtimetest.Widget)
			if w.Status.Serial == serials[w.Name] {
				return
			}
			serials[w.Name] = w.Status.Serial
			seen := commit{revision: number(w.ResourceVersion), writer: w.Status.Phase, seen: time.Now()}
			h.update(func() { h.commits = append(h.commits, seen) })
		},
		runtimewatch.For(c, &coordinationv1.LeaseList{}, client.InNamespace(leaseNamespace), client.MatchingFields{"metadata.name": namespace}): func(e watch.Event) {
			l := e.Object.(*coordinationv1.Lease)
			seen := leaseState{revision: number(l.ResourceVersion), holder: "-", seen: time.Now()}
			if e.Type != watch.Deleted {
				seen.holder = *l.Spec.HolderIdentity
			}
			h.update(func() { h.leases = append(h.leases, seen) })
		},
		runtimewatch.For(c, &coordinationv1.LeaseList{}, client.InNamespace(leaseNamespace), client.MatchingLabels{heartbeatOf: namespace}): func(e watch.Event) {
			if e.Type != watch.Deleted {
				h.update(func() { h.beats++ })
			}
		},
	}
	for source, handle := range watches {
		go func() { _ = (&runtimewatch.Loop{Source: source, Handler: handle}).Start(ctx) }() // handlers do not fail
	}
}

// handler handles events; what is there at the start is of no interest.
type handler func(watch.Event)

func (handler) Replace(context.Context, []runtime.Object) error { return nil }

func (f handler) Handle(_ context.Context, e watch.Event) error { f(e); return nil }

// lease changes the lease with kubectl's rights, and returns the revision of the
// change and when it was sent.
func (c *cluster) lease(ctx context.Context, name string, change func(*coordinationv1.Lease)) (int64, time.Time, error) {
	for {
		l := &coordinationv1.Lease{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: leaseNamespace, Name: name}, l); err != nil {
			return 0, time.Time{}, err
		}
		change(l)
		sent := time.Now()
		err := c.Update(ctx, l)
		if !apierrors.IsConflict(err) {
			return number(l.ResourceVersion), sent, err
		}
	}
}

// number reads a revision.
func number(version string) int64 {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		panic(err) // the API server's are numbers
	}
	return n
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
