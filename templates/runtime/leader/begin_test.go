package leader

import (
	"errors"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// It waits for something under way, and meanwhile wins its lease anew.
func TestNoTermBeginsInAProcessThatIsBeingStopped(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		term := me.await(t, nil)
		time.Sleep(between)
		_, leave, err := term.Join(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() {
			if err := a.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		time.AfterFunc(1500*time.Millisecond, func() {
			if a.holder() != "me" {
				t.Error("the lease is not won anew: this tests nothing")
			}
			if me.Leading() {
				t.Error("a term began")
			}
			leave()
		})
		me.stop()
		if got := a.holder(); got != "" {
			t.Errorf("the lease is left to %q", got)
		}
	})
}

// The lease is handed over by hand, so that its new holder waits until the time
// of the old one is over, and stolen before that.
func TestATermLostWhileItWaitedDoesNotBegin(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		compete(t, a, "me").await(t, nil)
		rival := compete(t, a, "rival")
		time.Sleep(between)
		a.edit(func(l *coordinationv1.Lease) { *l.Spec.HolderIdentity = "rival" })
		time.Sleep(time.Second)
		if a.holder() != "rival" {
			t.Error("the lease is not taken: this tests nothing")
		}
		a.steal("thief", time.Hour)
		time.Sleep(time.Minute)
		select {
		case <-rival.Elected():
			t.Error("it began")
		default:
		}
	})
}

// The connection is cut until just after the term, when nobody else may have
// taken the lease yet: it is renewed, and that is a term of its own.
func TestATermThatIsOverIsNotRenewed(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		term := me.await(t, nil)
		time.Sleep(between)
		me.line.set(true)
		if _, why := ended(t, term); !errors.Is(why, cause.LeadershipLost) {
			t.Error(why)
		}
		me.line.set(false)
		if next := me.await(t, term); next.transitions != term.transitions {
			t.Errorf("transitions %d, then %d: somebody else was in between", term.transitions, next.transitions)
		}
	})
}

// Its holder may be at work, and not know of the deletion yet.
func TestADeletedLeaseIsLeftToItsHolder(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me", func(_ *Election, l *line) { l.deaf = true })
		term := me.await(t, nil)
		compete(t, a, "rival")
		for range 20 {
			time.Sleep(between)
			if err := a.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * times.RetryPeriod)
			if got := a.holder(); got != "me" {
				t.Fatalf("the lease is held by %q", got)
			}
			term = me.await(t, term)
		}
	})
}

// What is under way could take longer than the rest of the lease.
func TestTheLeaseIsRenewedWhileSomethingEnds(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		term := me.await(t, nil)
		time.Sleep(between)
		_, leave, err := term.Join(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*time.Second, func() {
			if ago := time.Since(lastRenewed(term)); ago > times.RetryPeriod {
				t.Errorf("renewed %s ago", ago)
			}
			leave()
		})
		me.stop()
	})
}
