// Command measure does to operators what can happen to a leader and counts what
// they write meanwhile: this repository's and, beside them in the same run, plain
// ones of controller-runtime. It needs an API server of its own with an audit
// log and prints its report as JSON:
//
//	controlplane exec --audit audit.log -- go run ./integration/leadership/measure -count 5
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// The times of all elections, as short as a Lease's whole seconds allow.
const (
	leaseNamespace = "kube-system"
	leaseDuration  = 2 * time.Second
	renewDeadline  = 1200 * time.Millisecond
	retryPeriod    = 200 * time.Millisecond
	margin         = 200 * time.Millisecond
)

// report is what is printed.
type report struct {
	Lease struct {
		Duration, RenewDeadline, RetryPeriod, Margin float64
	} `json:"lease"`
	Date    string  `json:"date"`
	Seconds float64 `json:"seconds"` // the whole run
	// Versions are those of what was measured, by name.
	Versions map[string]string `json:"versions"`
	// Incidents are by incident and mode.
	Incidents map[string]map[string]*series `json:"incidents"`
	// Audience is by mode.
	Audience map[string]*audience `json:"audience"`
	// Transitions is what callers of the operators' HTTP API saw, and what is left
	// behind, after many terms.
	Transitions *transitions `json:"transitions,omitempty"`
	// Killing is what came of replicas that were killed at random.
	Killing *killing `json:"killing,omitempty"`
}

// series is one incident happening to one pair again and again.
type series struct {
	Seconds  float64   `json:"seconds"`
	Commits  int       `json:"commits"` // of the operators, meanwhile
	Outcomes []outcome `json:"outcomes"`
}

// lab is where experiments are made.
type lab struct {
	cluster *cluster
	audit   auditLog
	binary  string
	pairs   atomic.Int64
	report  report
}

func main() {
	var want plan
	flag.IntVar(&want.steals, "steals", 0, "number of steals (default: -count)")
	flag.IntVar(&want.count, "count", 5, "number of each of the other incidents")
	flag.IntVar(&want.terms, "terms", 100, "number of terms for what callers see and what is left behind")
	flag.DurationVar(&want.killing, "killing", 20*time.Second, "how long to kill replicas")
	flag.BoolVar(&want.plain, "plain", true, "measure plain managers too")
	crds := flag.String("crds", "integration/testdata", "folder with the CRD of widgets")
	flag.Parse()
	if want.steals == 0 {
		want.steals = want.count
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, want, *crds); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

// plan says how much of everything.
type plan struct {
	steals, count, terms int
	killing              time.Duration
	plain                bool
}

func run(ctx context.Context, want plan, crds string) error {
	ctrl.SetLogger(logr.Discard())
	l := &lab{audit: auditLog{path: os.Getenv("CTXSCAFFOLD_AUDIT_LOG")}}
	if l.audit.path == "" {
		return errors.New("CTXSCAFFOLD_AUDIT_LOG names no audit log; run this under controlplane exec --audit FILE")
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	if l.cluster, err = newCluster(config, crds); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "leadership-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	l.binary = filepath.Join(folder, "operator")
	build := exec.CommandContext(ctx, "go", "build", "-o", l.binary, "./integration/leadership/operator")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the operator: %w", err)
	}
	r := &l.report
	r.Lease.Duration, r.Lease.RenewDeadline, r.Lease.RetryPeriod, r.Lease.Margin = ms(leaseDuration), ms(renewDeadline), ms(retryPeriod), ms(margin)
	r.Incidents = map[string]map[string]*series{}
	if r.Versions, err = l.cluster.versions(); err != nil {
		return err
	}
	begin := time.Now()
	err = l.experiments(ctx, want)
	r.Date, r.Seconds = begin.Format(time.DateOnly), time.Since(begin).Seconds()
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(r)) // what there is, is of use in any case
}

// experiments makes them one after the other, with both kinds of operators at
// the same time.
func (l *lab) experiments(ctx context.Context, want plan) error {
	modes := []string{"ours"}
	if want.plain {
		modes = append(modes, "plain")
	}
	for _, e := range []struct {
		incident
		unwatched bool
		count     int
	}{
		{steal, false, want.steals},
		{unwatchedSteal, true, want.count},
		{deletion, false, want.count},
		{partition, false, want.count},
		{freeze, false, want.count},
		{stop, false, want.count},
	} {
		if e.count == 0 {
			continue
		}
		if err := l.repeat(ctx, e.incident, e.unwatched, e.count, modes); err != nil {
			return err
		}
	}
	var err error
	if l.report.Audience, err = beside(modes, func(mode string) (*audience, error) { return l.attend(ctx, want.count, mode) }); err != nil {
		return err
	}
	if want.terms > 0 {
		if err := l.transitions(ctx, want.terms); err != nil {
			return err
		}
	}
	if want.killing > 0 {
		return l.kill(ctx, want.killing)
	}
	return nil
}

// unwatchedSteal is a steal from a leader whose watch of the lease brings
// nothing.
var unwatchedSteal = incident{name: "steal, unwatched", strike: steal.strike}

// repeat lets an incident happen count times to a pair of each mode.
func (l *lab) repeat(ctx context.Context, i incident, unwatched bool, count int, modes []string) error {
	found, err := beside(modes, func(mode string) (*series, error) { return l.series(ctx, i, unwatched, count, mode) })
	l.report.Incidents[i.name] = found
	return err
}

// beside makes an experiment in all modes at the same time.
func beside[T any](modes []string, experiment func(mode string) (T, error)) (map[string]T, error) {
	var all sync.WaitGroup
	errs, results := make([]error, len(modes)), make([]T, len(modes))
	for m, mode := range modes {
		all.Go(func() { results[m], errs[m] = experiment(mode) })
	}
	all.Wait()
	found := map[string]T{}
	for m, mode := range modes {
		found[mode] = results[m]
	}
	return found, errors.Join(errs...)
}

func (l *lab) series(ctx context.Context, i incident, unwatched bool, count int, mode string) (*series, error) {
	p, done, err := l.setUp(ctx, mode, 2, unwatched)
	if err != nil {
		return nil, err
	}
	defer done()
	s := &series{}
	begin := time.Now()
	for n := range count {
		o, err := i.run(ctx, l, p)
		if err != nil {
			return nil, fmt.Errorf("%s, number %d of %s: %w", mode, n+1, i.name, err)
		}
		if n > 0 || i.name != steal.name {
			o.Lines = nil // one picture is enough
		}
		s.Outcomes = append(s.Outcomes, o)
		fmt.Fprintf(os.Stderr, "%s %d of %d, %s: %s\n", i.name, n+1, count, mode, o)
	}
	s.Seconds, s.Commits = time.Since(begin).Seconds(), p.log.total()
	if mode == "ours" && i.name != stop.name {
		// What led before the last incident gets its turn too.
		if _, err := steal.run(ctx, l, p); err != nil {
			return nil, fmt.Errorf("the steal after %s: %w", i.name, err)
		}
	}
	for n := range s.Outcomes {
		s.Outcomes[n].Reelected = p.log.ledAgain(s.Outcomes[n].former)
	}
	return s, nil
}

// setUp starts n replicas with widgets of their own.
func (l *lab) setUp(ctx context.Context, mode string, n int, unwatched bool) (*pair, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pair{mode: mode, binary: l.binary, namespace: fmt.Sprintf("%s%d", mode, l.pairs.Add(1)), unwatched: unwatched, log: newHistory()}
	done := func() { p.stop(); cancel() }
	if err := l.cluster.populate(ctx, p.namespace, widgets); err != nil {
		cancel()
		return nil, nil, err
	}
	l.cluster.record(ctx, p.namespace, p.log)
	if err := p.start(ctx, n); err != nil {
		done()
		return nil, nil, err
	}
	return p, done, nil
}

// widgets is how many are worked on.
const widgets = 8
