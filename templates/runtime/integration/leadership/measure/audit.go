package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// request is a request to write as the API server's audit log has it.
type request struct {
	agent     string // the operator's identity
	received  time.Time
	completed time.Time
	accepted  bool
	resource  string
}

// auditLog reads the API server's audit log as it grows. Only writes of
// operators are kept: not those to leases, by which they elect, nor events.
type auditLog struct {
	path string

	mu     sync.Mutex
	offset int64
	writes []request
}

// refresh reads what has been added.
func (a *auditLog) refresh() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := os.Open(a.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(a.offset, io.SeekStart); err != nil {
		return err
	}
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // the rest of the line is not there yet
		}
		if err != nil {
			return err
		}
		a.offset += int64(len(line))
		if err := a.note(line); err != nil {
			return err
		}
	}
}

func (a *auditLog) note(line []byte) error {
	var e struct {
		Stage          string
		Verb           string
		UserAgent      string
		ObjectRef      struct{ Resource string }
		ResponseStatus struct{ Code int }
		Received       time.Time `json:"requestReceivedTimestamp"`
		Completed      time.Time `json:"stageTimestamp"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	switch e.Verb {
	case "get", "list", "watch":
		return nil
	}
	if e.Stage != "ResponseComplete" || e.ObjectRef.Resource == "leases" || e.ObjectRef.Resource == "events" {
		return nil
	}
	if !strings.HasPrefix(e.UserAgent, "ours-") && !strings.HasPrefix(e.UserAgent, "plain-") {
		return nil
	}
	a.writes = append(a.writes, request{
		agent: e.UserAgent, received: e.Received, completed: e.Completed,
		accepted: e.ResponseStatus.Code/100 == 2, resource: e.ObjectRef.Resource,
	})
	return nil
}

// between returns the accepted writes of an operator that were received within
// a time.
func (a *auditLog) between(agent string, from, to time.Time) []request {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []request
	for _, w := range a.writes {
		if w.agent == agent && w.accepted && !w.received.Before(from) && w.received.Before(to) {
			found = append(found, w)
		}
	}
	return found
}
