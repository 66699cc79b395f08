package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress turns what the go command prints into a line now and then.
type progress struct {
	out     io.Writer
	subject string
	started time.Time

	mu         sync.Mutex
	total      int      // packages the binary consists of
	downloaded int      // modules
	compiled   int      // packages; those in Go's build cache are not among them
	messages   []string // the last other lines: errors, if there is one
}

// newProgress starts the clock of one component.
func newProgress(out io.Writer, subject string) *progress {
	fmt.Fprintf(out, "building %s\n", subject)
	return &progress{out: out, subject: subject, started: time.Now()}
}

// planned takes a line of "go list": a package of the binary.
func (p *progress) planned(string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total++
}

// logged takes a line that the go command wrote to its standard error.
func (p *progress) logged(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		p.downloaded++
	case strings.ContainsAny(line, " \t:"):
		p.messages = append(p.messages, line)
		if len(p.messages) > tailLines {
			p.messages = p.messages[1:]
		}
	default: // an import path
		p.compiled++
	}
}

// report prints the state at each interval until the returned function is called.
func (p *progress) report(interval time.Duration) (stop func()) {
	quit := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
				fmt.Fprintln(p.out, p.state())
			}
		}
	})
	return func() {
		close(quit)
		running.Wait()
	}
}

// done prints that the component is built.
func (p *progress) done() {
	fmt.Fprintf(p.out, "built %s in %s\n", p.subject, p.elapsed())
}

func (p *progress) state() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf("building %s: %s", p.subject, p.elapsed())
	if p.downloaded > 0 {
		text += fmt.Sprintf(", %d modules downloaded", p.downloaded)
	}
	if p.compiled > 0 {
		text += fmt.Sprintf(", %d of %d packages compiled", p.compiled, p.total)
	}
	return text
}

func (p *progress) elapsed() time.Duration {
	return time.Since(p.started).Round(time.Second)
}

// lineWriter returns a writer that calls take with each line without its end.
func lineWriter(take func(line string)) io.Writer {
	return &lines{take: take}
}

type lines struct {
	take func(string)
	rest []byte
}

func (l *lines) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(data), nil
		}
		l.take(string(line))
		l.rest = rest
	}
}
