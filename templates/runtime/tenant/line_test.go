package tenant

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

func TestAFullTenantKeepsTheOrder(t *testing.T) {
	f := build(t, 100, "a")
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 1}})
	_, leave := f.work(t, "a", "1")
	for _, name := range []string{"2", "3", "4", "2", "3"} { // events go on
		f.park(t, "a", name)
	}
	f.wantCalls(t, "[]")
	leave()
	f.wantCalls(t, "[a/2]")
	f.park(t, "a", "1") // cannot overtake, though there is nobody at work
	f.park(t, "a", "3")
	_, leave = f.work(t, "a", "2")
	f.wantCalls(t, "[]")
	leave()
	f.wantCalls(t, "[a/3]")
	_, leave = f.work(t, "a", "3")
	leave()
	f.wantCalls(t, "[a/4]")
	_, leave = f.work(t, "a", "4")
	leave()
	f.wantCalls(t, "[a/1]")
	_, leave = f.work(t, "a", "1")
	leave()
	f.wantCalls(t, "[]")
	if b := f.tenants["a"].boxes; b.line != nil || f.busy != 0 {
		t.Error("something is left")
	}
}

func TestAGreedyTenantLeavesAsManyWorkersAsItTakes(t *testing.T) {
	for _, test := range []struct{ workers, greedy, each int }{{1, 1, 1}, {2, 1, 1}, {10, 1, 5}, {11, 1, 5}, {12, 2, 4}, {20, 3, 5}} {
		var names []string
		for i := range test.greedy {
			names = append(names, fmt.Sprint("greedy", i))
		}
		f := build(t, test.workers, append(names, "quiet")...)
		for i := range 100 {
			for _, name := range names {
				if _, _, err := f.Enter(t.Context(), key(name, fmt.Sprint(i))); err != nil && err != ErrWaiting {
					t.Fatal(err)
				}
			}
		}
		for _, name := range names {
			if got := f.tenants[name].boxes.holds; got != test.each {
				t.Errorf("%+v: %s has %d", test, name, got)
			}
		}
		_, leave := f.work(t, "quiet", "x")
		leave()
	}
}

func TestWorkersThatGetFreeAreSharedInTurn(t *testing.T) {
	f := build(t, 6, "a", "b")
	var leaveA, leaveB context.CancelFunc
	for range 2 {
		_, leaveA = f.work(t, "a", fmt.Sprint("at work ", f.busy))
		_, leaveB = f.work(t, "b", fmt.Sprint("at work ", f.busy))
	}
	for i := range 3 {
		f.park(t, "a", fmt.Sprint(i))
		f.park(t, "b", fmt.Sprint(i))
	}
	leaveB()
	f.wantCalls(t, "[b/0]") // a has as many as are left
	leaveA()
	f.wantCalls(t, "[a/0]")
}

func TestWorkersThatOthersLeaveAreGiven(t *testing.T) {
	f := build(t, 6, "a", "b")
	f.work(t, "a", "1")
	_, first := f.work(t, "b", "1")
	f.work(t, "a", "2")
	_, second := f.work(t, "b", "2")
	f.park(t, "a", "3")
	first()
	f.wantCalls(t, "[]")
	second()
	f.wantCalls(t, "[a/3]")
}

func TestRoomIsKeptForWhoIsCalled(t *testing.T) {
	f := build(t, 4, "a", "b")
	_, leave := f.work(t, "a", "1")
	f.work(t, "a", "2")
	f.park(t, "a", "3")
	leave()
	f.wantCalls(t, "[a/3]")
	f.park(t, "a", "4")
	f.work(t, "a", "3")
	if f.busy != 2 {
		t.Errorf("%d places", f.busy)
	}
}

func TestNoRequestIsCalledBeforeThereIsAQueue(t *testing.T) {
	f := build(t, 4, "a")
	enqueue := f.enqueue
	f.enqueue = nil
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 1}})
	_, leave := f.work(t, "a", "1")
	f.park(t, "a", "2")
	leave()
	f.enqueue = enqueue
	f.advance()
	f.wantCalls(t, "[a/2]")
}

func TestTheRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, 100, "a", "b")
		f.Restrict("a", Quota{Limits: Limits{Rate: 2}})
		for _, name := range []string{"1", "2"} {
			_, leave := f.work(t, "a", name)
			leave()
		}
		for _, name := range []string{"3", "4", "5"} {
			f.park(t, "a", name)
		}
		_, leave := f.work(t, "b", "1")
		leave()
		begin := time.Now()
		for _, name := range []string{"3", "4", "5"} {
			time.Sleep(500*time.Millisecond - time.Nanosecond)
			synctest.Wait()
			f.wantCalls(t, "[]")
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			f.wantCalls(t, "[a/"+name+"]")
			_, leave := f.work(t, "a", name)
			leave()
		}
		if took := time.Since(begin); took != 1500*time.Millisecond {
			t.Errorf("%s", took)
		}
		if b := f.tenants["a"].boxes; b.line != nil {
			t.Error("something is left")
		}
	})
}

func TestARateThatIsRaisedCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, 100, "a")
		f.Restrict("a", Quota{Limits: Limits{Rate: 0.001}})
		_, leave := f.work(t, "a", "1")
		leave()
		f.park(t, "a", "2")
		f.park(t, "a", "3")
		f.Restrict("a", Quota{Limits: Limits{Rate: 1}})
		time.Sleep(time.Second)
		synctest.Wait()
		f.wantCalls(t, "[a/2]")
		f.Restrict("a", Quota{})
		f.wantCalls(t, "[a/2 a/3]") // the first one's turn has not come to an end
	})
}

func TestATenantThatIsGoneWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, 4, "a")
		f.Restrict("a", Quota{Limits: Limits{Rate: 1, Concurrency: 2}})
		_, leave := f.work(t, "a", "1")
		f.park(t, "a", "2")
		f.Forget("a")
		leave()
		time.Sleep(time.Hour)
		synctest.Wait()
		f.wantCalls(t, "[]")
		if f.busy != 0 || len(f.ring) != 0 {
			t.Errorf("%d places, %d in the ring", f.busy, len(f.ring))
		}
	})
}

func TestThePlacesOfTheCalledAreGivenBackWhenTheTenantGoes(t *testing.T) {
	f := build(t, 5, "a", "b")
	_, leave := f.work(t, "a", "1")
	f.work(t, "a", "2")
	f.park(t, "a", "3")
	f.work(t, "b", "1")
	f.park(t, "b", "2")
	leave()
	f.wantCalls(t, "[a/3]")
	f.Forget("a")
	f.wantCalls(t, "[b/2]")
	if f.busy != 3 {
		t.Errorf("%d places", f.busy)
	}
}

func TestTighterLimitsActAtOnce(t *testing.T) {
	f := build(t, 100, "a")
	var running []context.Context
	var leave []context.CancelFunc
	for i := range 4 {
		ctx, l := f.work(t, "a", fmt.Sprint(i))
		running, leave = append(running, ctx), append(leave, l)
	}
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 2, Budget: time.Hour}})
	for i, ctx := range running { // the budget is new, so that all begin anew
		if got := cause.Of(ctx); got != cause.TenantLimited {
			t.Errorf("%d: cause %v", i, got)
		}
	}
	f.park(t, "a", "4")
	for i := range leave {
		leave[i]()
	}
	f.wantCalls(t, "[a/2 a/3]") // the last two to leave are the first in line
	f.work(t, "a", "3")
	f.work(t, "a", "2")
}

func TestTheLatestEndWhenThereMayBeFewer(t *testing.T) {
	f := build(t, 100, "a")
	var running []context.Context
	var leave []context.CancelFunc
	for i := range 4 {
		ctx, l := f.work(t, "a", fmt.Sprint(i))
		running, leave = append(running, ctx), append(leave, l)
	}
	for range 2 { // once told is enough
		f.Restrict("a", Quota{Limits: Limits{Concurrency: 2}})
		f.Restrict("a", Quota{Limits: Limits{Concurrency: 2, Calls: 1}})
	}
	for i, ctx := range running {
		if ended := ctx.Err() != nil; ended != (i >= 2) {
			t.Errorf("%d: ended %t", i, ended)
		}
	}
	if _, release, err := split.BeginStatus(running[3]); err != nil {
		t.Errorf("no status can be written: %v", err)
	} else {
		release()
	}
	leave[3]()
	leave[2]()
	f.wantCalls(t, "[]")
	leave[0]()
	f.wantCalls(t, "[a/2]")
}

func TestTheCalledWaitAgainUnderTighterLimits(t *testing.T) {
	f := build(t, 100, "a")
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 2}})
	_, first := f.work(t, "a", "1")
	_, second := f.work(t, "a", "2")
	f.park(t, "a", "3")
	f.park(t, "a", "4")
	first()
	f.wantCalls(t, "[a/3]")
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 1}})
	f.park(t, "a", "3")
	second()
	f.wantCalls(t, "[a/3]")
	f.work(t, "a", "3")
	f.park(t, "a", "4")
}

func TestLooserLimitsActAtOnce(t *testing.T) {
	f := build(t, 100, "a")
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 1}})
	running, _ := f.work(t, "a", "1")
	f.park(t, "a", "2")
	f.park(t, "a", "3")
	f.park(t, "a", "4")
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 3}})
	f.wantCalls(t, "[a/2 a/3]")
	if running.Err() != nil {
		t.Error("what is under way ended")
	}
}

// The line is not empty though there is room, because the rate lets nobody in.
func TestRoomIsKeptForThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, 100, "a")
		f.enqueue = nil // the controller has not started yet
		f.Restrict("a", Quota{Limits: Limits{Rate: 1}})
		_, leave := f.work(t, "a", "1")
		leave()
		f.park(t, "a", "2")
		time.Sleep(time.Hour)
		f.park(t, "a", "3")
	})
}

func TestACallIsAnsweredOnce(t *testing.T) {
	f := build(t, 100, "a")
	f.Restrict("a", Quota{Limits: Limits{Concurrency: 1}})
	_, leave := f.work(t, "a", "1")
	f.park(t, "a", "2")
	f.park(t, "a", "3")
	leave()
	f.work(t, "a", "2")
	f.park(t, "a", "2")
}

func TestWhatWasLimitedIsNotCalledForASuspendedTenant(t *testing.T) {
	for name, happens := range map[string]func(*Set){
		"suspended": func(s *Set) { s.Restrict("a", Quota{Suspended: true}) },
		"excluded":  func(s *Set) { s.Restrict("a", Quota{Excluded: true}) },
		"gone":      func(s *Set) { s.Forget("a") },
	} {
		f := build(t, 100, "a")
		_, leave := f.work(t, "a", "1")
		f.Restrict("a", Quota{Limits: Limits{Budget: time.Hour}})
		happens(f.Set)
		leave()
		if got := f.calls(); got != "[]" || f.busy != 0 {
			t.Errorf("%s: enqueued %s, %d places", name, got, f.busy)
		}
	}
}
