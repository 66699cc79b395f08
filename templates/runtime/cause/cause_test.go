package cause_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

func TestCausesMatchTheStandardSentinels(t *testing.T) {
	tests := map[*cause.Cause]struct {
		name, reason string
		sentinel     error
		fencing      bool
	}{
		cause.ReconcileDeadline: {"reconcile_deadline", "ReconcileDeadline", context.DeadlineExceeded, false},
		cause.OperationDeadline: {"operation_deadline", "OperationDeadline", context.DeadlineExceeded, false},
		cause.AttemptDeadline:   {"attempt_deadline", "AttemptDeadline", context.DeadlineExceeded, false},
		cause.StatusDeadline:    {"status_deadline", "StatusDeadline", context.DeadlineExceeded, false},
		cause.Shutdown:          {"shutdown", "Shutdown", context.Canceled, false},
		cause.Superseded:        {"superseded", "Superseded", context.Canceled, false},
		cause.ClientGone:        {"client_gone", "ClientGone", context.Canceled, false},
		cause.ShutdownEnded:     {"shutdown_ended", "ShutdownEnded", context.Canceled, true},
		cause.LeadershipLost:    {"leadership_lost", "LeadershipLost", context.Canceled, true},
		cause.TenantGone:        {"tenant_gone", "TenantGone", context.Canceled, true},
		cause.TenantSuspended:   {"tenant_suspended", "TenantSuspended", context.Canceled, true},
		cause.TenantLimited:     {"tenant_limited", "TenantLimited", context.Canceled, false},
	}
	for c, want := range tests {
		t.Run(want.name, func(t *testing.T) {
			if c.Name() != want.name || c.Reason() != want.reason || c.Fencing() != want.fencing {
				t.Errorf("got name %q, reason %q, fencing %t", c.Name(), c.Reason(), c.Fencing())
			}
			timeout := want.sentinel == context.DeadlineExceeded
			if got := errors.Is(c, context.DeadlineExceeded); got != timeout {
				t.Errorf("errors.Is(DeadlineExceeded) = %t", got)
			}
			if got := errors.Is(c, context.Canceled); got == timeout {
				t.Errorf("errors.Is(Canceled) = %t", got)
			}
			netErr, ok := error(c).(net.Error)
			if !ok {
				t.Fatal("is no net.Error")
			}
			if netErr.Timeout() != timeout {
				t.Errorf("Timeout() = %t", netErr.Timeout())
			}
		})
	}
}

func TestWithKeepsIdentity(t *testing.T) {
	detailed := cause.OperationDeadline.With("bank").With("2s")
	wrapped := fmt.Errorf("pay: %w", detailed)
	for _, target := range []error{cause.OperationDeadline, context.DeadlineExceeded, detailed} {
		if !errors.Is(wrapped, target) {
			t.Errorf("%v does not match %v", wrapped, target)
		}
	}
	for _, target := range []error{cause.ReconcileDeadline, context.Canceled, cause.OperationDeadline.With("bank")} {
		if errors.Is(wrapped, target) {
			t.Errorf("%v matches %v", wrapped, target)
		}
	}
	if got, want := detailed.Error(), "operation budget used up: bank: 2s"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if got := detailed.Name(); got != "operation_deadline" {
		t.Errorf("Name() = %q: details must not reach metric labels", got)
	}
	if cause.OperationDeadline.Error() != "operation budget used up" {
		t.Error("With changed the cause it was called on")
	}
}

func TestNamesThatCannotBeLabelsPanic(t *testing.T) {
	for _, name := range []string{"", "Upper", "a__b", "_a", "a_", "with space", "dash-ed", "ümlaut"} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("Cancel(%q) did not panic", name)
				}
			}()
			t.Error("made", cause.Cancel(name, "text"))
		})
	}
}

func TestADeadlinesNameSaysThatItIsOne(t *testing.T) {
	if got := cause.Deadline("batch_deadline", "text").Name(); got != "batch_deadline" {
		t.Errorf("Name() = %q", got)
	}
	defer func() {
		if recover() == nil {
			t.Error(`Deadline("batch") did not panic`)
		}
	}()
	t.Error("made", cause.Deadline("batch", "text"))
}

func TestOf(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	if got := cause.Of(ctx); got != nil {
		t.Errorf("Of(live context) = %v", got)
	}
	cancel(fmt.Errorf("stopping: %w", cause.Shutdown))
	if got := cause.Of(ctx); got != cause.Shutdown {
		t.Errorf("Of = %v, want %v", got, cause.Shutdown)
	}
	child, stop := context.WithTimeout(ctx, time.Hour)
	defer stop()
	if got := cause.Of(child); got != cause.Shutdown {
		t.Errorf("Of(child) = %v, want the parent's cause", got)
	}
	plain, cancelPlain := context.WithCancel(t.Context())
	cancelPlain()
	if got := cause.Of(plain); got != nil {
		t.Errorf("Of(context cancelled without a cause) = %v", got)
	}
}
