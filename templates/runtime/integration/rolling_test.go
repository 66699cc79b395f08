//go:build integration

package integration_test

import (
	"context"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
)

// service stands in for a Service: it takes each new connection to one of the
// replicas that are ready, and connections stay where they are.
type service struct {
	net.Listener

	mu       sync.Mutex
	replicas []string
	next     int
}

func (s *service) add(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = append(s.replicas, address)
}

func (s *service) remove(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = slices.DeleteFunc(s.replicas, func(one string) bool { return one == address })
}

func (s *service) pick() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.replicas[s.next%len(s.replicas)]
}

func (s *service) serve() {
	for {
		from, err := s.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			to, err := net.Dial("tcp", s.pick())
			if err != nil {
				return
			}
			defer to.Close()
			go func() {
				_, _ = io.Copy(to, from)
				to.Close()
			}()
			_, _ = io.Copy(from, to)
		}()
	}
}

// serviceLag is how long a Service still leads to a replica that is no longer ready.
const serviceLag = 200 * time.Millisecond

// thoughtful is a rule that takes some time.
type thoughtful struct{ asked atomic.Int64 }

func (r *thoughtful) ValidateCreate(ctx context.Context, _ *widget) (admission.Warnings, error) {
	r.asked.Add(1)
	select {
	case <-time.After(100 * time.Millisecond):
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestRollingRestartsCutNoAdmission restarts two replicas one after the other
// while objects are admitted by failurePolicy Fail. In its short form it restarts
// each of them twice; with WEBHOOK_RESTARTS=long there are 20 restarts and 1,000
// admissions at least.
func TestRollingRestartsCutNoAdmission(t *testing.T) {
	restarts, least := 4, int64(100)
	if os.Getenv("WEBHOOK_RESTARTS") == "long" {
		restarts, least = 20, 1000
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{Listener: listener}
	t.Cleanup(func() { listener.Close() })
	go s.serve()
	folder := t.TempDir() // one authority for all replicas
	rules := &thoughtful{}
	start := func() (*operator, string) {
		var server *admission.Server
		o := runWith(t, config, manager.Settings{
			ReconcileTimeout: 2 * time.Second, DrainDelay: 3 * serviceLag,
			Webhook: admission.Settings{BindAddress: "127.0.0.1:0", CertDir: folder, SelfSigned: "127.0.0.1", MaxTimeout: 2 * time.Second},
		}, func(rt *manager.Runtime) error {
			server = rt.GetWebhookServer().(*admission.Server)
			return admission.Register[*widget](rt, admission.Paths{Default: "/default", Validate: "/validate"}, rules)
		})
		eventually(t, "a replica", func() bool { return server.Addr() != "" && server.Ready(nil) == nil })
		s.add(server.Addr())
		return o, server.Addr()
	}
	type replica struct {
		*operator
		address string
	}
	var replicas []replica
	for range 2 {
		o, address := start()
		replicas = append(replicas, replica{o, address})
	}
	install(t, address{listener.Addr().String(), authority(t, folder)}, "rolling", 5, admissionregistrationv1.Fail)
	eventually(t, "the webhook", func() bool { admit(t, "rolling", 1, 1); return rules.asked.Load() > 0 })

	ended := make(chan struct{})
	var admitted atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			c := direct(t)
			for {
				select {
				case <-ended:
					return
				default:
				}
				w := &widget{ObjectMeta: metav1.ObjectMeta{GenerateName: "rolling-", Namespace: "default", Labels: map[string]string{"case": "rolling"}}}
				if err := c.Create(t.Context(), w, client.DryRunAll); err != nil {
					t.Errorf("not admitted: %v", err)
				}
				admitted.Add(1)
			}
		})
	}
	done := 0
	for ; done < restarts || admitted.Load() < least; done++ {
		old := replicas[done%2]
		o, address := start()
		replicas[done%2] = replica{o, address}
		time.AfterFunc(serviceLag, func() { s.remove(old.address) })
		if _, err := old.end(); err != nil {
			t.Errorf("replica %s ended with %v", old.address, err)
		}
	}
	close(ended)
	callers.Wait()
	t.Logf("%d admissions during %d restarts, of %d questions", admitted.Load(), done, rules.asked.Load())
}
