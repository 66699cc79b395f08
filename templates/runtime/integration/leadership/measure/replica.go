package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// event is what an operator says: see the operator's own.
type event struct {
	Time   int64  `json:"time"`
	Event  string `json:"event"`
	Term   string `json:"term"`
	Reason string `json:"reason"`
}

func (e event) at() time.Time { return time.Unix(0, e.Time) }

// pair is one kind of operator with some replicas, a lease and widgets of its
// own, side by side with the other kind.
type pair struct {
	mode      string
	binary    string
	namespace string
	unwatched bool
	log       *history
	numbers   atomic.Int64

	mu       sync.Mutex
	replicas []*replica
}

// replica is a place for a process. If one ends, the next takes its place, under
// another name, as with a Deployment.
type replica struct {
	pair *pair

	mu       sync.Mutex
	identity string
	process  *os.Process
	address  string // of the operator's HTTP API
	probes   string
	stopped  bool
	gone     chan struct{} // closed when the process has ended
}

// start starts n replicas and waits until one of them leads.
func (p *pair) start(ctx context.Context, n int) error {
	for range n {
		r := &replica{pair: p}
		if err := r.launch(ctx); err != nil {
			return err
		}
		p.replicas = append(p.replicas, r)
	}
	_, err := p.log.leader(ctx, time.Time{})
	return err
}

// launch starts a process, unless there are to be no more, and waits until it
// serves.
func (r *replica) launch(ctx context.Context) error {
	p := r.pair
	identity := fmt.Sprintf("%s-%d", p.mode, p.numbers.Add(1))
	probes, err := freeAddress()
	if err != nil {
		return err
	}
	arguments := []string{
		"-mode=" + p.mode, "-widgets=" + p.namespace, "-lease=" + p.namespace, "-probes=" + probes,
		"-leader-elect-namespace=" + leaseNamespace, "-leader-elect-identity=" + identity,
		"-leader-elect-lease-duration=" + leaseDuration.String(), "-leader-elect-renew-deadline=" + renewDeadline.String(),
		"-leader-elect-retry-period=" + retryPeriod.String(), "-leader-elect-margin=" + margin.String(),
	}
	if p.unwatched {
		arguments = append(arguments, "-unwatched")
	}
	// The process outlives ctx, which is that of an experiment.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), p.binary, arguments...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	gone, serving := make(chan struct{}), make(chan string, 1)
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return nil
	}
	if err := cmd.Start(); err != nil {
		r.mu.Unlock()
		return err
	}
	r.identity, r.process, r.probes, r.gone = identity, cmd.Process, probes, gone
	r.mu.Unlock()
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				e = event{Event: "ended", Reason: lines.Text()}
			}
			if e.Event == "serving" {
				serving <- e.Reason
				continue
			}
			p.log.note(identity, e)
		}
		_ = cmd.Wait() // its exit code is of no interest
		p.log.note(identity, event{Time: time.Now().UnixNano(), Event: "gone"})
		close(gone)
		if err := r.launch(ctx); err != nil && !r.isStopped() {
			fmt.Fprintln(os.Stderr, "restart:", err)
		}
	}()
	select {
	case address := <-serving:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.address = address
		return nil
	case <-gone:
		return errors.New("an operator ended at its start")
	case <-time.After(time.Minute):
		return errors.New("an operator did not start in a minute")
	}
}

func (r *replica) name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.identity
}

func (r *replica) isStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

func (r *replica) signal(s syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process.Signal(s)
}

// ended returns a channel that is closed when the present process has ended.
func (r *replica) ended() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// url returns where the operator serves a path.
func (r *replica) url(path string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return "http://" + r.address + path
}

// get asks the operator and decodes the answer into v, if there is one.
func (r *replica) get(ctx context.Context, path string, v any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(path), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if v == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(v)
}

// find returns the replica with an identity.
func (p *pair) find(identity string) (*replica, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.replicas {
		if r.name() == identity {
			return r, nil
		}
	}
	return nil, fmt.Errorf("no replica is %s", identity)
}

// other returns a replica that is not identity.
func (p *pair) other(identity string) *replica {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.replicas {
		if r.name() != identity {
			return r
		}
	}
	return nil
}

// stop kills all processes.
func (p *pair) stop() {
	for _, r := range p.replicas {
		r.mu.Lock()
		r.stopped = true
		gone := r.gone
		r.mu.Unlock()
		_ = r.signal(syscall.SIGCONT)
		_ = r.signal(syscall.SIGKILL)
		<-gone
	}
}
