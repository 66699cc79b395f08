package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/endpoints/request"
	authenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"

	"golang.org/x/time/rate"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
)

// reviewTimeout bounds one review that several requests may wait for.
const reviewTimeout = 10 * time.Second

// reviewBackoff is the pause between attempts at a review.
var reviewBackoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 5}

// Reviews has the API server say who calls, by the bearer token (TokenReview),
// and whether that caller may do so (SubjectAccessReview): objects need the right
// that they need at the API server, other paths the method as the verb of a
// non-resource URL. What it says is remembered for a minute or less.
//
// controller-runtime's filter for metrics will not do. To it every path is a
// non-resource URL, and RBAC's system:discovery lets everybody get those below
// /apis; and a token that is not valid is to it a fault of the server's.
func Reviews(config *rest.Config, client *http.Client, audiences ...string) (func(*http.Request) *httpx.Failure, error) {
	limited := rest.CopyConfig(config)
	limited.RateLimiter = &refusing{rate.NewLimiter(reviewRate, reviewBurst)}
	tokens, err := authenticationv1.NewForConfigAndClient(limited, client)
	if err != nil {
		return nil, fmt.Errorf("token reviews: %w", err)
	}
	access, err := authorizationv1.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("access reviews: %w", err)
	}
	who, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		Anonymous:                &apiserver.AnonymousAuthConfig{Enabled: false},
		CacheTTL:                 time.Minute,
		TokenAccessReviewClient:  tokens,
		TokenAccessReviewTimeout: reviewTimeout,
		WebhookRetryBackoff:      &reviewBackoff,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("authentication: %w", err)
	}
	may, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: access,
		AllowCacheTTL:             time.Minute,
		DenyCacheTTL:              10 * time.Second,
		WebhookRetryBackoff:       &reviewBackoff,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("authorization: %w", err)
	}
	return admission(remember(meant(who, audiences)), may), nil
}

// authorizes is what is asked of an authorizer.
type authorizes interface {
	Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error)
}

func admission(who authenticator.Request, may authorizes) func(*http.Request) *httpx.Failure {
	return func(r *http.Request) *httpx.Failure {
		// Authenticators take the token out of the header.
		caller, ok, err := who.AuthenticateRequest(r.Clone(r.Context()))
		if err != nil && unreviewed(r.Context(), err) {
			return httpx.Unavailable(fmt.Errorf("who calls could not be reviewed: %w", err))
		}
		if err != nil || !ok {
			return &httpx.Failure{Code: http.StatusUnauthorized, Err: errors.New("no bearer token, or one that the API server does not accept")}
		}
		what, err := attributes(r)
		if err != nil {
			return badRequest(err)
		}
		what.User = caller.User
		decision, _, err := may.Authorize(r.Context(), what)
		if err != nil {
			return httpx.Unavailable(fmt.Errorf("whether %s may use the path could not be reviewed: %w", caller.User.GetName(), err))
		}
		if decision != authorizer.DecisionAllow {
			return &httpx.Failure{Code: http.StatusForbidden, Err: fmt.Errorf("%s may not %s %s", caller.User.GetName(), r.Method, r.URL.Path)}
		}
		return nil
	}
}

// paths reads paths as the API server does.
var paths = request.RequestInfoFactory{APIPrefixes: sets.NewString("apis"), GrouplessAPIPrefixes: sets.NewString()}

// attributes are what the caller of r needs a right to: what its route asks for, or else
// what the API server would for its path.
func attributes(r *http.Request) (authorizer.AttributesRecord, error) {
	if needs, ok := r.Context().Value(attributesKey{}).(authorizer.AttributesRecord); ok {
		return needs, nil
	}
	// A query may narrow down what the API server would do, but nothing here.
	path := &http.Request{Method: r.Method, URL: &url.URL{Path: r.URL.Path}, Header: r.Header}
	info, err := paths.NewRequestInfo(path)
	if err != nil {
		return authorizer.AttributesRecord{}, err
	}
	return authorizer.AttributesRecord{
		Verb:            info.Verb,
		APIGroup:        info.APIGroup,
		APIVersion:      info.APIVersion,
		Resource:        info.Resource,
		Subresource:     info.Subresource,
		Namespace:       info.Namespace,
		Name:            info.Name,
		ResourceRequest: info.IsResourceRequest,
		Path:            info.Path,
	}, nil
}

// unreviewed tells an error of the review from one of the token, which has no
// type.
func unreviewed(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	if several, ok := err.(utilerrors.Aggregate); ok {
		for _, one := range several.Errors() {
			if unreviewed(ctx, one) {
				return true
			}
		}
		return false
	}
	_, answered := errors.AsType[*apierrors.StatusError](err)
	return answered || budget.Retryable(err) || errors.Is(err, errTooMany) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
