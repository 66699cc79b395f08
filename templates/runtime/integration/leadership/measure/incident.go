package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// outcome is what one incident did to one pair of operators. Times are in
// milliseconds from the incident.
type outcome struct {
	// Ended is when the term ended, for a plain manager when its process did; null
	// if it did not.
	Ended *float64 `json:"ended"`
	// Led is when the next term began, or the lease was held again.
	Led float64 `json:"led"`
	// Sent counts writes that the API server received after the term had ended
	// and accepted.
	Sent int `json:"sent"`
	// InFlight counts writes that it had received before and accepted after; Late
	// is when the last of them was done, from the end of the term.
	InFlight int     `json:"inFlight"`
	Late     float64 `json:"late"`
	// Beyond counts what the former leader committed after the incident and, if it
	// holds the lease again, before that; Overlap what it committed after the next
	// leader had committed something.
	Beyond  int `json:"beyond"`
	Overlap int `json:"overlap"`
	// Why is the reason that the former leader gave for the end of its term.
	Why string `json:"why"`
	// From is who held the lease, in etcd, right before the next leader: "" if it
	// was released, "-" if there was none.
	From string `json:"from"`
	// Survived tells that the process of the former leader went on.
	Survived bool `json:"survived"`
	// Reelected tells that the same process led again.
	Reelected bool `json:"reelected"`
	former    term // the one that was struck
	// Lines are the commits around the incident, for a picture.
	Lines []line `json:"lines,omitempty"`
}

// line is something that happened, for a picture.
type line struct {
	At   float64 `json:"at"`
	Who  string  `json:"who"`
	What string  `json:"what"` // commit, begin, end
}

// incident is something that happens to a leader.
type incident struct {
	name string
	// strike makes it happen to leader and returns the revision after which what
	// the leader commits is beyond its time, and when that was. It calls off what
	// lasts, once the next leader writes, by itself.
	strike func(ctx context.Context, l *lab, p *pair, leader term) (revision int64, at time.Time, err error)
}

// settle is how long to watch after the next leader writes.
const settle = leaseDuration / 2

var steal = incident{
	name: "steal",
	strike: func(ctx context.Context, l *lab, p *pair, leader term) (int64, time.Time, error) {
		rival := p.other(leader.identity()).name()
		return l.cluster.lease(ctx, p.namespace, func(lease *coordinationv1.Lease) {
			moment, next := metav1.NowMicro(), *lease.Spec.LeaseTransitions+1
			lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.AcquireTime, lease.Spec.LeaseTransitions = &rival, &moment, &moment, &next
		})
	},
}

var deletion = incident{
	name: "delete",
	strike: func(ctx context.Context, l *lab, p *pair, _ term) (int64, time.Time, error) {
		before := p.log.revision()
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: leaseNamespace, Name: p.namespace}}
		at := time.Now()
		if err := l.cluster.Delete(ctx, lease); err != nil {
			return 0, time.Time{}, err
		}
		gone, err := p.log.lease(ctx, "the deletion", before, func(s leaseState) bool { return s.holder == "-" })
		return gone.revision, at, err
	},
}

// partition cuts the leader off from the lease, and from nothing else.
var partition = incident{
	name: "partition",
	strike: func(ctx context.Context, _ *lab, p *pair, leader term) (int64, time.Time, error) {
		r, err := p.find(leader.identity())
		if err != nil {
			return 0, time.Time{}, err
		}
		if err := r.get(ctx, "/block", nil); err != nil {
			return 0, time.Time{}, err
		}
		at := time.Now()
		taken, err := p.taken(ctx, leader)
		if err != nil {
			return 0, at, err
		}
		time.Sleep(leaseDuration / 2)
		_ = r.get(ctx, "/unblock", nil) // a plain manager's process has ended
		return taken.revision, at, nil
	},
}

// freeze stops the leader's process until another one leads.
var freeze = incident{
	name: "freeze",
	strike: func(ctx context.Context, _ *lab, p *pair, leader term) (int64, time.Time, error) {
		r, err := p.find(leader.identity())
		if err != nil {
			return 0, time.Time{}, err
		}
		if err := r.signal(syscall.SIGSTOP); err != nil {
			return 0, time.Time{}, err
		}
		at := time.Now()
		taken, err := p.taken(ctx, leader)
		if err != nil {
			return 0, at, err
		}
		if _, err := p.log.leader(ctx, at); err != nil {
			return 0, at, err
		}
		time.Sleep(leaseDuration / 4)
		return taken.revision, at, r.signal(syscall.SIGCONT)
	},
}

// stop asks the leader to end.
var stop = incident{
	name: "stop",
	strike: func(ctx context.Context, _ *lab, p *pair, leader term) (int64, time.Time, error) {
		r, err := p.find(leader.identity())
		if err != nil {
			return 0, time.Time{}, err
		}
		before, at := p.log.revision(), time.Now()
		if err := r.signal(syscall.SIGTERM); err != nil {
			return 0, at, err
		}
		released, err := p.log.lease(ctx, "the release", before, func(s leaseState) bool { return s.holder != leader.identity() })
		return released.revision, at, err
	},
}

// taken waits until another one than leader holds the lease.
func (p *pair) taken(ctx context.Context, leader term) (leaseState, error) {
	return p.log.lease(ctx, "another holder", p.log.revision(), func(s leaseState) bool {
		return s.holder != "" && s.holder != "-" && s.holder != leader.identity()
	})
}

// hit lets an incident happen to the leader of a pair. A leader that is none any
// more by itself, as on a machine that is too busy, is not hit, but the next.
func (i incident) hit(ctx context.Context, l *lab, p *pair) (old term, revision int64, at time.Time, err error) {
	for {
		if old, err = p.log.leader(ctx, time.Time{}); err != nil {
			return old, 0, at, err
		}
		time.Sleep(leaseDuration / 4) // under way
		if p.log.lasts(old) {
			revision, at, err = i.strike(ctx, l, p, old)
			if err == nil || p.log.lasts(old) {
				return old, revision, at, err
			}
		}
		fmt.Fprintf(os.Stderr, "%s: %s led no more before it was hit\n", i.name, old.writer)
	}
}

// run lets an incident happen to the leader of a pair and tells what came of it.
func (i incident) run(ctx context.Context, l *lab, p *pair) (outcome, error) {
	old, revision, at, err := i.hit(ctx, l, p)
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", i.name, err)
	}
	held, err := p.log.lease(ctx, "a holder", revision-1, func(s leaseState) bool { return s.holder != "" && s.holder != "-" })
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", i.name, err)
	}
	if p.mode == "plain" && held.holder == old.identity() {
		return p.kept(old, revision, held, at), nil
	}
	next, err := p.log.leader(ctx, old.began)
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", i.name, err)
	}
	time.Sleep(settle)
	if old, err = p.log.over(ctx, old); err != nil {
		return outcome{}, fmt.Errorf("%s: %w", i.name, err)
	}
	if err := l.audit.refresh(); err != nil {
		return outcome{}, err
	}
	o := outcome{
		Ended: new(ms(old.ended.Sub(at))), Led: ms(next.began.Sub(at)), Why: old.reason,
		From: p.log.before(held), Survived: !old.wentWithIt, former: old,
	}
	for _, w := range l.audit.between(old.identity(), old.began, time.Now()) {
		if next.identity() == old.identity() && !w.received.Before(next.began) {
			continue // of the same process's next term
		}
		switch {
		case !w.received.Before(old.ended):
			o.Sent++
		case w.completed.After(old.ended):
			o.InFlight++
			o.Late = max(o.Late, ms(w.completed.Sub(old.ended)))
		}
	}
	first := p.log.by(next.writer)[0].revision
	for _, c := range p.log.by(old.writer) {
		if c.revision > revision {
			o.Beyond++
		}
		if c.revision > first {
			o.Overlap++
		}
	}
	o.Lines = p.lines(old, next, at)
	return o, nil
}

// kept is the outcome where a plain manager takes the lease again and has never
// stopped.
func (p *pair) kept(old term, revision int64, held leaseState, at time.Time) outcome {
	time.Sleep(settle)
	o := outcome{Led: ms(held.seen.Sub(at)), Survived: true, former: old}
	for _, c := range p.log.by(old.writer) {
		if c.revision > revision && c.revision < held.revision {
			o.Beyond++
		}
	}
	return o
}

// lines returns what happened around a moment.
func (p *pair) lines(old, next term, at time.Time) []line {
	var lines []line
	for who, t := range map[string]term{"former": old, "next": next} {
		lines = append(lines, line{ms(t.began.Sub(at)), who, "begin"})
		if !t.ended.IsZero() {
			lines = append(lines, line{ms(t.ended.Sub(at)), who, "end"})
		}
		for _, c := range p.log.by(t.writer) {
			if after := c.seen.Sub(at); after > -leaseDuration/2 && after < 4*leaseDuration {
				lines = append(lines, line{ms(after), who, "commit"})
			}
		}
	}
	return lines
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// String says the most important of it.
func (o outcome) String() string {
	ended := "never"
	if o.Ended != nil {
		ended = fmt.Sprintf("%.1f ms", *o.Ended)
	}
	return fmt.Sprintf("ended %s, next %.1f ms, sent after the end %d, in flight %d, beyond %d, overlap %d", ended, o.Led, o.Sent, o.InFlight, o.Beyond, o.Overlap)
}
