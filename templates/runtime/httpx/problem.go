package httpx

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// Problem writes a failure as an application/problem+json document (RFC 9457).
// Its member cause is the name of what ended the work, if that is known.
func Problem(w http.ResponseWriter, _ *http.Request, f *Failure) {
	document := struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Cause  string `json:"cause,omitempty"`
	}{Title: http.StatusText(f.Code), Status: f.Code, Detail: f.Error()}
	if c, ok := errors.AsType[*cause.Cause](f); ok {
		document.Cause = c.Name()
	}
	text, err := json.Marshal(document)
	if err != nil {
		panic(err) // a struct of strings
	}
	w.Header().Set("Content-Type", "application/problem+json")
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(f.Code)
	_, _ = w.Write(append(text, '\n')) // whoever is gone cannot be told
}
