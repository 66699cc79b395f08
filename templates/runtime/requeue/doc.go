// Package requeue is how a reconciler says what shall happen next, as the one
// error it returns.
//
//	nil                            done; come again when something changes
//	requeue.After(d)               done; look again after d
//	requeue.Pending(d, r, m)       not done yet, nothing failed; look again after d
//	requeue.Terminal(err)          failed; only a change of the object can help
//	requeue.Because(reason, err)   failed for a reason worth a name of its own
//	any other error                failed; try again with backoff
//
// As there is one return value, there can be no result beside an error, of
// which controller-runtime would silently drop the result.
//
// The values survive wrapping: fmt.Errorf("bank: %w", requeue.Terminal(err))
// is terminal.
package requeue
