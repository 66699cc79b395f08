// Package cause names the reasons for which a context ends, and tells after
// the fact which of them ended an operation.
//
// Every cancellation made by this operator carries a *Cause. A Cause matches
// the standard sentinel it stands for (context.DeadlineExceeded or
// context.Canceled) under errors.Is and implements Timeout, so code that knows
// nothing of this package still reads it correctly. That matters because
// net/http returns context.Cause as the request's error over HTTP/1.1 and the
// bare sentinel over HTTP/2: a cause made by errors.New is not recognised as a
// timeout over the former.
//
// [Classify] is the one place where the end of an operation is judged. It
// reads the context first and the error second, for the same reason.
package cause
