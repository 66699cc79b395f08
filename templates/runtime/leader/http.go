package leader

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
)

// HTTP serves next, an HTTP API of the operator's own, in both modes. Reads
// (GET, HEAD, OPTIONS) always reach next; while this process observes, their
// answers have a Warning header, as what is read from a cache may be older than
// what the leader knows. Other requests reach next only in a term, with a
// context that ends with it. Outside of a term, and if the term ends before
// next has answered or is why next failed, the answer is 503 with Retry-After.
func (e *Election) HTTP(next http.Handler) http.Handler {
	if e == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
			if !e.Leading() {
				w.Header().Add("Warning", observing)
			}
			next.ServeHTTP(w, r)
			return
		}
		t, err := e.Term()
		if err != nil {
			e.unavailable(w, err)
			return
		}
		ctx, leave, err := t.Join(r.Context())
		if err != nil {
			e.unavailable(w, err)
			return
		}
		defer leave()
		a := &answer{ResponseWriter: w, election: e, over: func() error {
			return cmp.Or(context.Cause(ctx), t.Check()) // a write may be refused a moment before ctx ends
		}}
		next.ServeHTTP(a, r.WithContext(ctx))
		a.finish()
	})
}

// observing is the warning on reads. 299 is a persistent warning, which
// Kubernetes' clients show.
var observing = must(utilnet.NewWarningHeader(299, "-", "answered by a replica that does not lead, from its cache"))

func must(header string, err error) string {
	if err != nil {
		panic(err)
	}
	return header
}

// unavailable says that another replica, or this one a little later, can do it.
func (e *Election) unavailable(w http.ResponseWriter, why error) {
	httpx.Problem(w, nil, &httpx.Failure{
		Code:       http.StatusServiceUnavailable,
		Err:        fmt.Errorf("this replica cannot write: %w", why),
		RetryAfter: e.settings.RetryPeriod,
	})
}

// answer is the response to a write. It stands in for next's own answer where
// that is a failure that the end of the term explains.
type answer struct {
	http.ResponseWriter
	election *Election
	over     func() error // why the term, or the request, is over; nil while it is not
	begun    bool
	replaced bool
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	if code >= http.StatusInternalServerError && !a.begun && a.over() != nil {
		a.replace()
		return
	}
	a.begun = a.begun || code >= http.StatusOK // before that more than one may be sent
	if !a.replaced {
		a.ResponseWriter.WriteHeader(code)
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	if a.replaced {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what else the writer can do.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// finish answers if next did not: to say nothing is to say 200, which is not
// known once the term is over.
func (a *answer) finish() {
	if !a.begun && a.over() != nil {
		a.replace()
	}
}

func (a *answer) replace() {
	a.begun, a.replaced = true, true
	a.election.unavailable(a.ResponseWriter, a.over())
}
