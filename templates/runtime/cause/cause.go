package cause

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// The causes made by the runtime. Packages add their own with [Deadline],
// [Cancel] and [Fence]; give a cause details with [Cause.With].
var (
	// ReconcileDeadline: the work share of the reconcile budget is used up.
	ReconcileDeadline = Deadline("reconcile_deadline", "reconcile budget used up")
	// OperationDeadline: a named operation used up its budget.
	OperationDeadline = Deadline("operation_deadline", "operation budget used up")
	// AttemptDeadline: one attempt of a retried operation took too long.
	AttemptDeadline = Deadline("attempt_deadline", "attempt took too long")
	// StatusDeadline: the reserve for the status write is used up.
	StatusDeadline = Deadline("status_deadline", "status reserve used up")

	// Shutdown: the process is asked to end. Work stops, status is still written.
	Shutdown = Cancel("shutdown", "operator is shutting down")
	// Superseded: the object changed while it was being reconciled.
	Superseded = Cancel("superseded", "object changed while it was being reconciled")
	// TenantLimited: the object's tenant has got tighter limits, under which the
	// work begins anew.
	TenantLimited = Cancel("tenant_limited", "limits of the tenant were tightened")
	// ClientGone: the caller of a served request went away.
	ClientGone = Cancel("client_gone", "client went away")

	// ShutdownEnded: the time for an orderly shutdown is over. Nothing more is written.
	ShutdownEnded = Fence("shutdown_ended", "graceful shutdown period is over")
	// LeadershipLost: another replica may be leading. Nothing more is written.
	LeadershipLost = Fence("leadership_lost", "leadership lost")
	// TenantGone: the object's tenant is gone, or is none. Nothing more is written.
	TenantGone = Fence("tenant_gone", "tenant is gone")
	// TenantSuspended: the object's tenant is suspended. Nothing more is written
	// until it is no longer.
	TenantSuspended = Fence("tenant_suspended", "tenant is suspended")
)

// Cause is why a context ended. It is immutable; make one with [Deadline],
// [Cancel] or [Fence].
type Cause struct {
	name     string
	reason   string
	text     string
	sentinel error
	fencing  bool
	base     *Cause // what With specialised, nil for a cause made by a constructor
}

// Deadline returns a cause for contexts that end because time ran out. It
// matches context.DeadlineExceeded. The name becomes a metric label: it is
// lower_snake_case, one of a fixed few, and ends with _deadline, by which alert
// rules tell that time ran out. Deadline panics on any other name, as causes are
// made when a package is initialised.
func Deadline(name, text string) *Cause {
	if !strings.HasSuffix(name, "_deadline") {
		panic(fmt.Sprintf("cause: name %q of a deadline does not end with _deadline", name))
	}
	return newCause(name, text, context.DeadlineExceeded, false)
}

// Cancel returns a cause for contexts that are ended by a decision. It matches
// context.Canceled. Its name is a metric label too: lower_snake_case, one of a fixed few.
func Cancel(name, text string) *Cause {
	return newCause(name, text, context.Canceled, false)
}

// Fence returns a cause like [Cancel] after which nothing may be written on
// behalf of the ended work, not even a status.
func Fence(name, text string) *Cause {
	return newCause(name, text, context.Canceled, true)
}

func newCause(name, text string, sentinel error, fencing bool) *Cause {
	return &Cause{name: name, reason: camel(name), text: text, sentinel: sentinel, fencing: fencing}
}

// camel turns a lower_snake_case name into CamelCase.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		if word == "" {
			panic(fmt.Sprintf("cause: name %q is not lower_snake_case", name))
		}
		for _, r := range word {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
				panic(fmt.Sprintf("cause: name %q is not lower_snake_case", name))
			}
		}
		b.WriteString(strings.ToUpper(word[:1]))
		b.WriteString(word[1:])
	}
	return b.String()
}

// With returns a cause of the same name whose text goes on with detail. The
// result matches c under errors.Is.
func (c *Cause) With(detail string) *Cause {
	specialised := *c
	specialised.text = c.text + ": " + detail
	specialised.base = c
	return &specialised
}

// Error says what happened, for people.
func (c *Cause) Error() string { return c.text }

// Name is the cause's stable name in lower_snake_case: a metric label.
func (c *Cause) Name() string { return c.name }

// Reason is the name in CamelCase: a condition or event reason.
func (c *Cause) Reason() string { return c.reason }

// Fencing reports whether nothing may be written any more.
func (c *Cause) Fencing() bool { return c.fencing }

// Timeout reports whether time ran out. With Temporary it makes a Cause a
// net.Error, which is what HTTP and gRPC clients look for.
func (c *Cause) Timeout() bool { return c.sentinel == context.DeadlineExceeded }

// Temporary is the same as Timeout, as for context.DeadlineExceeded.
func (c *Cause) Temporary() bool { return c.Timeout() }

// Is matches the standard sentinel and every cause that c specialises.
func (c *Cause) Is(target error) bool {
	if target == c.sentinel {
		return true
	}
	for b := c.base; b != nil; b = b.base {
		if target == b {
			return true
		}
	}
	return false
}

// Of returns the cause that ended ctx. It returns nil if ctx has not ended or
// was ended by code that gave no Cause.
func Of(ctx context.Context) *Cause {
	c, _ := errors.AsType[*Cause](context.Cause(ctx))
	return c
}
