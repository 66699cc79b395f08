package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
)

const jsonType = "application/json"

// Answer returns a handler that answers with the status and, unless it is nil,
// the JSON of what f returns. An error of f's is answered by a problem document:
//
//   - an [httpx.Failure] as it says;
//   - 504 where the time is used up, 503 with Retry-After where something did not
//     answer, the term ended, or the API server has a fault that passes;
//   - what the API server refuses as it refused it: 400, 403, 404, 409, 422;
//   - anything else, and a value that has no JSON, 500, with the reason in the
//     log alone.
func Answer(f func(*http.Request) (status int, body any, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body, err := f(r)
		var text []byte
		if err == nil && body != nil {
			text, err = json.Marshal(body)
		}
		if err != nil {
			httpx.Abandon(r.Context(), failure(r.Context(), err))
			return
		}
		if text != nil {
			w.Header().Set("Content-Type", jsonType)
		}
		w.WriteHeader(status)
		_, _ = w.Write(text)
	})
}

// refusals are the API server's answers that are about what the caller asked for.
var refusals = map[int]bool{
	http.StatusBadRequest:            true,
	http.StatusForbidden:             true,
	http.StatusNotFound:              true,
	http.StatusMethodNotAllowed:      true,
	http.StatusConflict:              true,
	http.StatusGone:                  true,
	http.StatusRequestEntityTooLarge: true,
	http.StatusUnprocessableEntity:   true,
}

// failure is how err is answered.
func failure(ctx context.Context, err error) *httpx.Failure {
	if f, ok := errors.AsType[*httpx.Failure](err); ok {
		return f
	}
	if answered, ok := errors.AsType[*apierrors.StatusError](err); ok {
		if code := int(answered.Status().Code); refusals[code] {
			return &httpx.Failure{Code: code, Err: err}
		}
		return httpx.Unavailable(err) // a fault of the API server's, or of this operator's rights
	}
	if f := httpx.Unanswered(ctx, err); f != nil {
		return f
	}
	if meta.IsNoMatchError(err) { // the CRD is not installed
		return httpx.Unavailable(err)
	}
	log.FromContext(ctx).Error(err, "Request failed")
	return &httpx.Failure{Code: http.StatusInternalServerError, Err: errors.New("internal fault")}
}

// badRequest is the failure of a request that says something wrong.
func badRequest(err error) *httpx.Failure {
	return &httpx.Failure{Code: http.StatusBadRequest, Err: err}
}
