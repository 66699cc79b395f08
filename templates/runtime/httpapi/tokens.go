package httpapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/time/rate"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// Bounds of what strangers can have asked of the API server, and kept.
const (
	reviewRate     = 20 // reviews of tokens in a second
	reviewBurst    = 40
	refusedTokens  = 4096 // that are remembered
	refusalIsValid = 10 * time.Second
)

// errTooMany says that a token was not reviewed.
var errTooMany = errors.New("too many tokens were reviewed lately")

// refusing is a rate limiter of requests that waits for nothing: whoever comes too soon
// is told so, and holds nobody up.
type refusing struct{ limiter *rate.Limiter }

// TryAccept implements flowcontrol.RateLimiter.
func (l *refusing) TryAccept() bool { return l.limiter.Allow() }

// Accept implements flowcontrol.RateLimiter. Nothing calls it.
func (l *refusing) Accept() { time.Sleep(l.limiter.Reserve().Delay()) }

// Stop implements flowcontrol.RateLimiter.
func (l *refusing) Stop() {}

// QPS implements flowcontrol.RateLimiter.
func (l *refusing) QPS() float32 { return float32(l.limiter.Limit()) }

// Wait implements flowcontrol.RateLimiter.
func (l *refusing) Wait(context.Context) error {
	if !l.TryAccept() {
		return errTooMany
	}
	return nil
}

// meant accepts only tokens that are for one of the audiences, or any if there are none.
func meant(next authenticator.Request, audiences authenticator.Audiences) authenticator.Request {
	if len(audiences) == 0 {
		return next
	}
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		return next.AuthenticateRequest(r.WithContext(authenticator.WithAudiences(r.Context(), audiences)))
	})
}

// remember does not ask next again about a token that it has just refused.
func remember(next authenticator.Request) authenticator.Request {
	refused := utilcache.NewLRUExpireCache(refusedTokens)
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		key := shown(r) // next takes it away
		if _, known := refused.Get(key); known {
			return nil, false, nil
		}
		response, ok, err := next.AuthenticateRequest(r)
		if !ok && (err == nil || !unreviewed(r.Context(), err)) {
			refused.Add(key, nil, refusalIsValid)
		}
		return response, ok, err
	})
}

// shown is a hash of all by which a caller says who it is.
func shown(r *http.Request) [sha256.Size]byte {
	h := sha256.New()
	for _, name := range []string{"Authorization", "Sec-Websocket-Protocol"} {
		for _, value := range r.Header[name] {
			_, _ = io.WriteString(h, name+": "+value+"\n") // a hash takes everything
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}
