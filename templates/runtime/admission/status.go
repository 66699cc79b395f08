package admission

import (
	"encoding/json"
	"errors"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
)

// fail answers with a status of the API instead of a review: to the API server
// the webhook has failed, and it tells its own caller why.
func fail(w http.ResponseWriter, _ *http.Request, f *httpx.Failure) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure,
		Code:     int32(f.Code),
		Message:  f.Error(),
	}
	if c, ok := errors.AsType[*cause.Cause](f); ok {
		status.Reason = metav1.StatusReason(c.Reason())
	}
	text, err := json.Marshal(status)
	if err != nil {
		panic(err) // a struct of strings
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.Code)
	_, _ = w.Write(text) // whoever is gone cannot be told
}
