// Package apicalls observes what the operator's clients ask of the API server:
// each write is an operation (see package observe) whose target is the resource,
// and every request made within a trace carries it on.
package apicalls

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apipath"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/fence"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// Config returns a copy of cfg whose clients are observed. Give it a config that
// is fenced already, so that writes that are refused are seen.
func Config(cfg *rest.Config) (*rest.Config, error) {
	if cfg == nil {
		return nil, errors.New("no config of the API server")
	}
	root, err := apipath.Root(cfg)
	if err != nil {
		return nil, err
	}
	observed := rest.CopyConfig(cfg)
	observed.Wrap(func(next http.RoundTripper) http.RoundTripper { return &transport{next: next, root: root} })
	return observed, nil
}

// transport is in the way of one client's requests.
type transport struct {
	next http.RoundTripper
	root string // path under which the API server is served
}

var _ utilnet.RoundTripperWrapper = (*transport)(nil)

// WrappedRoundTripper lets client-go find the TLS settings below.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resource, writes := fence.Write(r, t.root)
	if !writes {
		return t.next.RoundTrip(carrying(r))
	}
	ctx, call := observe.For(observe.Write, resource).Begin(r.Context())
	call.SetAttributes(attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path))
	outcome := observe.Panicked
	defer func() { call.End(outcome) }()
	response, err := t.next.RoundTrip(carrying(r.WithContext(ctx)))
	if err == nil {
		call.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
	}
	outcome = judge(ctx, r, response, err)
	return response, err
}

// carrying returns r with the trace that it is made in, r itself if in none.
func carrying(r *http.Request) *http.Request {
	ctx := r.Context()
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return r
	}
	r = r.Clone(ctx) // a RoundTripper must not change what it is given
	otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(r.Header))
	return r
}

// judge reads an answer, and an error only where there is none: an answer that
// has come says what the API server did, even if time has run out since.
func judge(ctx context.Context, r *http.Request, response *http.Response, err error) cause.Outcome {
	if err != nil {
		return refused(cause.Classify(ctx, err), err)
	}
	if response.StatusCode < http.StatusBadRequest {
		return cause.Judged(nil)
	}
	return cause.Judged(apierrors.NewGenericServerResponse(response.StatusCode, r.Method, schema.GroupResource{}, "", response.Status, 0, true))
}

// refused names what a fence says, whose own reason need not be a cause.
func refused(o cause.Outcome, err error) cause.Outcome {
	if _, ok := errors.AsType[*fence.RefusedError](err); ok && o.Cause == nil && !o.Ended {
		o.Name = "refused"
	}
	return o
}
