package leader

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

func TestHTTP(t *testing.T) {
	// serve returns the answer to a request while observing and while leading;
	// next may end the term.
	serve := func(t *testing.T, method string, next func(w http.ResponseWriter, r *http.Request, steal func())) (observing, leading *httptest.ResponseRecorder) {
		t.Helper()
		bubble(t, func(t *testing.T, a *api) {
			me, elect := observer(t, a)
			handler := me.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next(w, r, func() { a.steal("thief", time.Hour); <-r.Context().Done() })
			}))
			ask := func() *httptest.ResponseRecorder {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(method, "/", nil).WithContext(t.Context()))
				return w
			}
			observing = ask()
			elect()
			leading = ask()
		})
		return observing, leading
	}
	says := func(code int) func(http.ResponseWriter, *http.Request, func()) {
		return func(w http.ResponseWriter, _ *http.Request, _ func()) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte("body"))
		}
	}
	after := func(f func(http.ResponseWriter, *http.Request, func())) func(http.ResponseWriter, *http.Request, func()) {
		return func(w http.ResponseWriter, r *http.Request, steal func()) { steal(); f(w, r, steal) }
	}
	unavailable := func(t *testing.T, r *httptest.ResponseRecorder) {
		t.Helper()
		if r.Code != http.StatusServiceUnavailable || r.Header().Get("Retry-After") != "1" {
			t.Errorf("%d, Retry-After %q", r.Code, r.Header().Get("Retry-After"))
		}
		if strings.Contains(r.Body.String(), "body") {
			t.Error("with the handler's body")
		}
	}
	code := func(t *testing.T, r *httptest.ResponseRecorder, want int) {
		t.Helper()
		if r.Code != want {
			t.Errorf("%d, want %d", r.Code, want)
		}
	}
	t.Run("reads are answered in both modes", func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
			observing, leading := serve(t, method, says(200))
			code(t, observing, 200)
			code(t, leading, 200)
			if observing.Header().Get("Warning") == "" || leading.Header().Get("Warning") != "" {
				t.Errorf("%s: warnings %q while observing, %q while leading", method, observing.Header().Get("Warning"), leading.Header().Get("Warning"))
			}
		}
	})
	t.Run("writes are answered by the leader", func(t *testing.T) {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			observing, leading := serve(t, method, says(201))
			unavailable(t, observing)
			code(t, leading, 201)
		}
	})
	t.Run("failures of its own stay", func(t *testing.T) {
		_, leading := serve(t, http.MethodPost, says(500))
		code(t, leading, 500)
	})
	t.Run("a failure after the term is unavailability", func(t *testing.T) {
		_, leading := serve(t, http.MethodPost, after(says(500)))
		unavailable(t, leading)
	})
	t.Run("silence after the term is unavailability", func(t *testing.T) {
		_, leading := serve(t, http.MethodPost, after(func(http.ResponseWriter, *http.Request, func()) {}))
		unavailable(t, leading)
	})
	t.Run("a success stays a success", func(t *testing.T) {
		_, leading := serve(t, http.MethodPost, after(says(200)))
		code(t, leading, 200)
	})
	t.Run("a refusal stays a refusal", func(t *testing.T) {
		_, leading := serve(t, http.MethodPost, after(says(409)))
		code(t, leading, 409)
	})
	t.Run("silence in the term is success", func(t *testing.T) {
		_, leading := serve(t, http.MethodPost, func(http.ResponseWriter, *http.Request, func()) {})
		code(t, leading, 200)
	})
	t.Run("a failure before the context has been told is unavailability", func(t *testing.T) {
		bubble(t, func(t *testing.T, a *api) {
			me, elect := observer(t, a)
			term := elect()
			w := httptest.NewRecorder()
			me.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				lost := cause.LeadershipLost.With("just now")
				term.over.Store(lost)
				http.Error(w, "body", http.StatusInternalServerError)
				term.cancel(lost)
			})).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
			unavailable(t, w)
		})
	})
}
