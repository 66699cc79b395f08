package budget

import (
	"context"
	"errors"
	"fmt"
)

// Meter rations calls to the outside.
type Meter interface {
	// Admit begins a call under ctx, or tells why there is none to begin: the error of
	// [TransientAfter] if there is one later.
	Admit(ctx context.Context) error
}

// MeterKey is the key at which a context has the [Meter] of the calls under it.
type MeterKey struct{}

// Admit waits until the calls under ctx may be one more, which they may where ctx has no
// [Meter]. It fails if that is after the end of ctx, and with ctx's cause as soon as ctx
// ends. [Operation.Do] asks before each attempt; what calls without one asks by Admit.
func Admit(ctx context.Context) error {
	meter, ok := ctx.Value(MeterKey{}).(Meter)
	if !ok {
		return nil
	}
	for {
		err := meter.Admit(ctx)
		later, ok := errors.AsType[*transient](err)
		if !ok {
			return err
		}
		if waitErr := Wait(ctx, later.after); waitErr != nil {
			return fmt.Errorf("%w: %w", waitErr, err)
		}
	}
}
