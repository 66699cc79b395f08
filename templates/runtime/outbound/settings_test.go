package outbound

import (
	"strings"
	"testing"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

func TestNothingIsUnlimited(t *testing.T) {
	s, err := Settings{Call: budget.Operation{Name: "bank", Timeout: time.Second}}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if s.Call.Attempt != time.Second || s.Connections != DefaultConnections || s.MaxAnswer != DefaultMaxAnswer || s.Join == nil {
		t.Errorf("%+v", s)
	}
	if s, err = (Settings{Call: budget.Operation{Name: "bank"}}).complete(); s.Call.Timeout != DefaultTimeout || s.Call.Attempt != DefaultAttempt || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	w := s.wire()
	if w.MaxConnsPerHost == 0 || w.MaxIdleConns == 0 || w.TLSHandshakeTimeout == 0 || w.ResponseHeaderTimeout == 0 || w.IdleConnTimeout == 0 || w.MaxResponseHeaderBytes == 0 {
		t.Errorf("the transport lacks a limit: %+v", w)
	}
}

func TestSettingsThatCannotBeMeantAreRefused(t *testing.T) {
	for want, s := range map[string]Settings{
		"say in Call.Name":                  {},
		"Call.Timeout is negative":          {Call: budget.Operation{Name: "bank", Timeout: -1}},
		"Call.Attempt is negative":          {Call: budget.Operation{Name: "bank", Attempt: -1}},
		"Connections is negative":           {Call: budget.Operation{Name: "bank"}, Connections: -1},
		"MaxAnswer is negative":             {Call: budget.Operation{Name: "bank"}, MaxAnswer: -1},
		"longer than the whole call of 30s": {Call: budget.Operation{Name: "bank", Attempt: time.Minute}},
	} {
		if _, err := HTTP(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("HTTP: %v, want an error about %s", err, want)
		}
		if _, err := Dial("bank", s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Dial: %v, want an error about %s", err, want)
		}
	}
}
