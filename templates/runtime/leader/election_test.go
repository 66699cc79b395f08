package leader

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// lost checks that a term ended for the reason expected.
func lost(t *testing.T, term *Term, want string) time.Duration {
	t.Helper()
	after, err := ended(t, term)
	if !errors.Is(err, cause.LeadershipLost) || !strings.Contains(err.Error(), want) {
		t.Errorf("term ended with %v, want leadership lost: %s", err, want)
	}
	return after
}

func TestFirstTermBeginsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		begin := time.Now()
		me := compete(t, a, "me")
		term := me.await(t, nil)
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("elected after %s", waited)
		}
		select {
		case <-me.Elected():
		default:
			t.Error("Elected is not closed")
		}
		time.Sleep(time.Hour)
		if err := term.Check(); err != nil {
			t.Errorf("a term that is renewed ended: %v", err)
		}
	})
}

// The watch is faster than the answers.
func TestAWriteOfWhichTheWatchTellsFirstCounts(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		begin := time.Now()
		me := compete(t, a, "me", func(_ *Election, l *line) { l.late = 100 * time.Millisecond })
		term := me.await(t, nil)
		if waited := time.Since(begin); waited != 100*time.Millisecond {
			t.Errorf("elected after %s", waited)
		}
		time.Sleep(time.Hour)
		if err := term.Check(); err != nil {
			t.Errorf("a term that is renewed ended: %v", err)
		}
	})
}

func TestStolenLeaseEndsTheTerm(t *testing.T) {
	t.Run("at once with the watch", func(t *testing.T) {
		bubble(t, func(t *testing.T, a *api) {
			me := compete(t, a, "me")
			term := me.await(t, nil)
			time.Sleep(between)
			a.steal("thief", 5*time.Second)
			if after := lost(t, term, "held by thief"); after != 0 {
				t.Errorf("after %s", after)
			}
			begin := time.Now()
			next := me.await(t, term)
			if waited := time.Since(begin); waited < 5*time.Second || waited > 7*time.Second {
				t.Errorf("elected again after %s", waited)
			}
			if next.transitions != term.transitions+2 {
				t.Errorf("transitions %d, then %d", term.transitions, next.transitions)
			}
		})
	})
	t.Run("within a retry period without", func(t *testing.T) {
		bubble(t, func(t *testing.T, a *api) {
			me := compete(t, a, "me", func(_ *Election, l *line) { l.deaf = true })
			term := me.await(t, nil)
			time.Sleep(between)
			a.steal("thief", 5*time.Second)
			if after := lost(t, term, "held by thief"); after == 0 || after > times.RetryPeriod {
				t.Errorf("after %s", after)
			}
		})
	})
}

func TestDeletedLeaseEndsTheTerm(t *testing.T) {
	for name, deaf := range map[string]bool{"at once with the watch": false, "at the next renewal without": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, a *api) {
				me := compete(t, a, "me", func(_ *Election, l *line) { l.deaf = deaf })
				term := me.await(t, nil)
				time.Sleep(between)
				begin := time.Now()
				if err := a.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				lost(t, term, "deleted")
				me.await(t, term)
				switch waited := time.Since(begin); {
				case !deaf && waited != 0:
					t.Errorf("elected again after %s", waited)
				case waited > times.RetryPeriod:
					t.Errorf("elected again after %s", waited)
				}
			})
		})
	}
}

func TestChangedLeaseEndsTheTerm(t *testing.T) {
	changes := map[string]struct {
		change func(*coordinationv1.Lease)
		why    string
	}{
		"a shorter lease":   {func(l *coordinationv1.Lease) { *l.Spec.LeaseDurationSeconds = 1 }, "changed by somebody else"},
		"other transitions": {func(l *coordinationv1.Lease) { *l.Spec.LeaseTransitions += 2 }, "changed by somebody else"},
		"no holder":         {func(l *coordinationv1.Lease) { *l.Spec.HolderIdentity = "" }, "taken away"},
	}
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, a *api) {
				me := compete(t, a, "me")
				term := me.await(t, nil)
				time.Sleep(between)
				a.edit(c.change)
				if after := lost(t, term, c.why); after != 0 {
					t.Errorf("after %s", after)
				}
				begin := time.Now()
				me.await(t, term)
				if waited := time.Since(begin); waited != 0 {
					t.Errorf("elected again after %s", waited)
				}
			})
		})
	}
	t.Run("but not a label", func(t *testing.T) {
		bubble(t, func(t *testing.T, a *api) {
			me := compete(t, a, "me")
			term := me.await(t, nil)
			a.edit(func(l *coordinationv1.Lease) { l.Labels = map[string]string{"a": "b"} })
			time.Sleep(time.Minute)
			if err := term.Check(); err != nil {
				t.Error(err)
			}
		})
	})
}

// The lock's connection hangs, writes would go through.
func TestPartitionEndsTheTermBeforeAnotherCanBegin(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		term := me.await(t, nil)
		rival := compete(t, a, "rival")
		time.Sleep(between)
		renewed := lastRenewed(term)
		me.line.set(true)
		lost(t, term, "not renewed for 4.5s")
		if after := time.Since(renewed); after != 4500*time.Millisecond {
			t.Errorf("ended %s after the last renewal", after)
		}
		theirs := rival.await(t, nil)
		if after := time.Since(renewed); after < 5*time.Second {
			t.Errorf("the rival began %s after the last renewal", after)
		}
		me.line.set(false)
		time.Sleep(time.Minute)
		if me.Leading() || theirs.Check() != nil {
			t.Error("the rival does not go on leading")
		}
	})
}

// client-go's own lock tells renewals apart by the second in which they were
// made, so a rival would count from the first one of a second.
func TestARivalMissesNoRenewal(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		often := times
		often.RetryPeriod, often.Identity = 100*time.Millisecond, "me"
		me := competeWith(t, a, often)
		term := me.await(t, nil)
		often.Identity = "rival"
		competeWith(t, a, often)
		time.Sleep(10*time.Second + 950*time.Millisecond)
		renewed := lastRenewed(term)
		me.line.set(true)
		for a.holder() == "me" {
			time.Sleep(10 * time.Millisecond)
		}
		if after := time.Since(renewed); after < times.LeaseDuration {
			t.Errorf("the rival took the lease %s after it was renewed", after)
		}
	})
}

// A renewal counts from when it was sent, not from when its answer came.
func TestSlowRenewalsCountFromTheirSending(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		term := me.await(t, nil)
		time.Sleep(between)
		slow := &slowly{a, 100 * time.Millisecond} // before the elector renews
		begin := me.now()
		l := &leases{LeaseInterface: slow, election: me.Election}
		lease, err := a.Get(t.Context(), leaseName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := lastRenewed(term); got != begin.monotonic {
			t.Errorf("counted from %s after the sending", got.Sub(begin.monotonic))
		}
	})
}

// ahead returns clocks of which the wall clock is d ahead of the other.
func ahead(d *atomic.Int64) func() instant {
	return func() instant {
		i := now()
		i.wall = i.wall.Add(time.Duration(d.Load()))
		return i
	}
}

func TestFrozenProcessFindsItsTermOver(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		var frozen atomic.Int64
		me := compete(t, a, "me", func(e *Election, _ *line) {
			e.now = ahead(&frozen)
		})
		term := me.await(t, nil)
		time.Sleep(between)
		// The monotonic clock stood still with the machine, no timer has fired.
		frozen.Store(int64(4500 * time.Millisecond))
		if _, _, err := term.Join(t.Context()); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("joined a term that is over by the wall clock: %v", err)
		}
		if term.ctx.Err() == nil {
			t.Error("the term's context goes on")
		}
	})
}

func TestAWallClockSetBackDoesNotProlongTheTerm(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		var back atomic.Int64
		me := compete(t, a, "me", func(e *Election, _ *line) {
			e.now = ahead(&back)
		})
		term := me.await(t, nil)
		time.Sleep(between)
		me.line.set(true)
		renewed := lastRenewed(term)
		back.Store(-int64(time.Hour))
		lost(t, term, "not renewed")
		if after := time.Since(renewed); after != 4500*time.Millisecond {
			t.Errorf("ended %s after the last renewal", after)
		}
	})
}

// Suspended machines: nobody asks, the timer runs on the clock that stood still.
func TestATermThatIsOverEndsUnasked(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		var frozen atomic.Int64
		me := compete(t, a, "me", func(e *Election, _ *line) {
			e.now = ahead(&frozen)
		})
		term := me.await(t, nil)
		time.Sleep(between)
		me.line.set(true)
		frozen.Store(int64(time.Hour))
		if after := lost(t, term, "not renewed"); after > tick {
			t.Errorf("after %s", after)
		}
	})
}

func TestReleaseWaitsForWhatIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		term := me.await(t, nil)
		rival := compete(t, a, "rival")
		time.Sleep(between)
		ctx, leave, err := term.Join(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const takes = 2 * time.Second
		left := make(chan time.Time, 1)
		time.AfterFunc(takes, func() {
			if ctx.Err() != nil {
				t.Error("what is under way was ended")
			}
			if got := a.holder(); got != "me" {
				t.Errorf("lease held by %q while something is under way", got)
			}
			if _, _, err := term.Join(t.Context()); !errors.Is(err, cause.LeadershipLost) {
				t.Errorf("something new began: %v", err)
			}
			if _, done, err := term.Join(ctx); err != nil {
				t.Errorf("what is under way cannot go on: %v", err)
			} else {
				done()
			}
			left <- time.Now()
			leave()
			leave() // more than once does no harm
			if _, _, err := term.Join(context.WithoutCancel(ctx)); !errors.Is(err, cause.LeadershipLost) {
				t.Errorf("something began within what is over: %v", err)
			}
		})
		begin := time.Now()
		me.stop()
		if took := time.Since(begin); took != takes {
			t.Errorf("stopped in %s", took)
		}
		rival.await(t, nil)
		if after := time.Since(<-left); after > times.RetryPeriod {
			t.Errorf("the successor leads %s after", after)
		}
		if term.Check() == nil {
			t.Error("the term goes on")
		}
	})
}

func TestLeaseIsNotReleasedOverWhatDoesNotEnd(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		term := me.await(t, nil)
		ctx, _, err := term.Join(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		me.stop()
		if took := time.Since(begin); took != times.RenewDeadline {
			t.Errorf("stopped in %s", took)
		}
		if got := a.holder(); got != "me" {
			t.Errorf("lease held by %q", got)
		}
		if synctest.Wait(); !errors.Is(context.Cause(ctx), cause.LeadershipLost) {
			t.Errorf("what does not end was told %v", context.Cause(ctx))
		}
	})
}

func TestReleaseNeverTakesAnothersLease(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		// Deaf and between two renewals: it cannot know yet.
		me := compete(t, a, "me", func(_ *Election, l *line) { l.deaf = true })
		me.await(t, nil)
		time.Sleep(between)
		a.steal("thief", 5*time.Second)
		me.stop()
		if got := a.holder(); got != "thief" {
			t.Errorf("lease held by %q", got)
		}
	})
	t.Run("not even between look and write", func(t *testing.T) {
		a := newAPI()
		mine := "me"
		if _, err := a.Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &mine}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		between := &stealing{a}
		if err := release(t.Context(), between, leaseName, func(l *coordinationv1.Lease) bool { return holder(l) == "me" }, time.Now()); !errors.Is(err, errNotHeld) {
			t.Errorf("released: %v", err)
		}
		if got := a.holder(); got != "thief" {
			t.Errorf("lease held by %q", got)
		}
	})
}

func TestSuccessorDoesNotWaitForARelease(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		me.await(t, nil)
		rival := compete(t, a, "rival")
		time.Sleep(between)
		begin := time.Now()
		me.stop()
		rival.await(t, nil)
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the successor waited %s", waited)
		}
	})
}

// Whoever takes the holder out of the Lease, or deletes it, or puts another one
// in, does not stop the leader by that, who may not hear of it.
func TestSuccessorWaitsOutALeaderThatDidNotRelease(t *testing.T) {
	takeovers := map[string]func(t *testing.T, a *api){
		"holder wiped": func(_ *testing.T, a *api) { a.edit(func(l *coordinationv1.Lease) { *l.Spec.HolderIdentity = "" }) },
		"deleted": func(t *testing.T, a *api) {
			if err := a.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		},
		"handed over": func(_ *testing.T, a *api) {
			a.edit(func(l *coordinationv1.Lease) { *l.Spec.HolderIdentity = "rival" })
		},
	}
	for name, takeOver := range takeovers {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, a *api) {
				me := compete(t, a, "me")
				mine := me.await(t, nil)
				rival := compete(t, a, "rival")
				time.Sleep(between)
				me.line.set(true)
				renewed := lastRenewed(mine)
				synctest.Wait()
				takeOver(t, a)
				rival.await(t, nil)
				if after := time.Since(renewed); after < 5*time.Second {
					t.Errorf("the successor leads %s after the last renewal", after)
				}
				if mine.Check() == nil {
					t.Error("two lead")
				}
			})
		})
	}
}

func TestHandedOverLeaseIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		mine := me.await(t, nil)
		rival := compete(t, a, "rival")
		time.Sleep(between)
		a.edit(func(l *coordinationv1.Lease) { *l.Spec.HolderIdentity = "rival" })
		if after := lost(t, mine, "held by rival"); after != 0 {
			t.Errorf("lost after %s", after)
		}
		theirs := rival.await(t, nil)
		time.Sleep(time.Minute)
		if theirs.Check() != nil || me.Leading() {
			t.Error("the lease did not stay where it was put")
		}
	})
}

// The watch and the lock's own calls may tell of the same changes in any order.
func TestOldNewsIsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me", func(_ *Election, l *line) { l.deaf = true })
		term := me.await(t, nil)
		old, err := a.Get(t.Context(), leaseName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		written := me.writes(old)
		time.Sleep(between)
		*old.Spec.HolderIdentity = "somebody before"
		if me.read(old) || me.gone(old.ResourceVersion) || term.Check() != nil {
			t.Error("an older state of the lease ended the term")
		}
		a.steal("thief", 5*time.Second)
		stolen, err := a.Get(t.Context(), leaseName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		me.read(stolen)
		mine := "me"
		old.Spec.HolderIdentity = &mine
		me.wrote(old, nil, written)
		if me.held() {
			t.Error("the answer to an older write began a term")
		}
	})
}

// After etcd was restored from a backup the resource versions are lower than those
// that were seen before.
func TestSomebodyLeadsAfterARestore(t *testing.T) {
	const before = 1_000_000
	for name, held := range map[string]string{"of the leader's lease": "me", "of an observer's lease": "rival", "of somebody else's lease": "thief", "of none": "-"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, a *api) {
				a.version = before
				me := compete(t, a, "me")
				term := me.await(t, nil)
				rival := compete(t, a, "rival")
				time.Sleep(between)
				backup, err := a.Get(t.Context(), leaseName, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				backup.Spec.HolderIdentity = &held
				made := metav1.NewMicroTime(time.Now().Add(-24 * time.Hour))
				backup.Spec.RenewTime = &made
				if held == "-" {
					backup = nil
				}
				a.restore(backup, before/2)
				for range 20 { // whose restored versions are still behind those seen
					time.Sleep(between)
					if me.Leading() && rival.Leading() {
						t.Error("two lead")
					}
				}
				if a.version >= before {
					t.Error("the versions have caught up: this tests nothing")
				}
				leads := map[string]bool{"me": me.Leading(), "rival": rival.Leading()}
				if !leads["me"] && !leads["rival"] {
					t.Errorf("nobody leads, and the lease is held by %q", a.holder())
				}
				if held == "me" && term.Check() != nil || held == "rival" && !leads["rival"] {
					t.Errorf("who held the lease does not lead: %v", leads)
				}
			})
		})
	}
}

func TestOneOfTwoProcessesWithTheSameIdentityLeads(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		one := compete(t, a, "me")
		term := one.await(t, nil)
		time.Sleep(between)
		two := compete(t, a, "me")
		for range 100 {
			time.Sleep(between)
			if two.Leading() || term.Check() != nil {
				t.Fatal("the one that leads is not left alone")
			}
		}
		if told := two.log.errors(); len(told) != 1 || !strings.Contains(told[0], "--leader-elect-identity") {
			t.Errorf("told %q", told)
		}
		one.stop()
		two.await(t, nil)
	})
}

// Neither knows the other when they begin, and no watch tells.
func TestTwoProcessesWithTheSameIdentityNeverLeadBoth(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		if _, err := a.Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		a.steal("thief", time.Second)
		deaf := func(_ *Election, l *line) { l.deaf = true }
		one, two := compete(t, a, "me", deaf), compete(t, a, "me", deaf)
		for range 1000 {
			time.Sleep(times.RetryPeriod / 10)
			if one.Leading() && two.Leading() {
				t.Fatal("both lead")
			}
		}
		if !one.Leading() && !two.Leading() {
			t.Error("neither leads")
		}
	})
}

// As a process does whose lock is not ours.
func TestARenewalThatWasNeverSentEndsTheTerm(t *testing.T) {
	for name, deaf := range map[string]bool{"at once with the watch": false, "at the next renewal without": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, a *api) {
				me := compete(t, a, "me", func(_ *Election, l *line) { l.deaf = deaf })
				term := me.await(t, nil)
				time.Sleep(between)
				a.edit(func(l *coordinationv1.Lease) { moment := metav1.NowMicro(); l.Spec.RenewTime = &moment })
				after := lost(t, term, "another process of the same identity, me")
				if after > times.RetryPeriod || !deaf && after != 0 {
					t.Errorf("after %s", after)
				}
				synctest.Wait()
				if told := me.log.errors(); len(told) != 1 || !strings.Contains(told[0], errShared.Error()) {
					t.Errorf("told %q", told)
				}
				renewed := time.Now()
				if err := a.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				me.await(t, term)
				if after := time.Since(renewed); after < times.LeaseDuration-times.RetryPeriod {
					t.Errorf("leads %s after the other's last renewal", after)
				}
			})
		})
	}
}

// Its former life could be at work still, on a node that is cut off.
func TestAProcessWaitsForAFormerLifeOfItsIdentity(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		former := compete(t, a, "me")
		term := former.await(t, nil)
		time.Sleep(between)
		renewed := lastRenewed(term)
		former.line.set(true)
		me := compete(t, a, "me")
		me.await(t, nil)
		if after := time.Since(renewed); after < times.LeaseDuration {
			t.Errorf("leads %s after the last renewal", after)
		}
		if term.Check() == nil {
			t.Error("two lead")
		}
		if told := me.log.errors(); len(told) != 0 {
			t.Errorf("told %q of what need not be wrong", told)
		}
	})
}

func TestALeaseOfAnotherProcessWithTheSameIdentityIsNotReleased(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		me := compete(t, a, "me")
		me.await(t, nil)
		time.Sleep(between)
		a.edit(func(l *coordinationv1.Lease) { moment := metav1.NowMicro(); l.Spec.RenewTime = &moment })
		synctest.Wait()
		me.stop()
		if got := a.holder(); got != "me" {
			t.Errorf("lease held by %q", got)
		}
	})
}

func TestThreeReplicasHaveOneLeader(t *testing.T) {
	bubble(t, func(t *testing.T, a *api) {
		replicas := []*replica{compete(t, a, "one"), compete(t, a, "two"), compete(t, a, "three")}
		for range 20 {
			time.Sleep(7 * time.Second)
			leaders := 0
			for _, r := range replicas {
				if r.Leading() {
					leaders++
				}
			}
			if leaders > 1 {
				t.Fatalf("%d leaders", leaders)
			}
			a.steal("thief", time.Second)
		}
	})
}
