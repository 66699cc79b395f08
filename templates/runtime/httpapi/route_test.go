package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// knows is an API server that knows the caller, and notes what the right is to that it
// is asked about.
type knows struct{ asked []string }

func (*knows) AuthenticateRequest(*http.Request) (*authenticator.Response, bool, error) {
	return &authenticator.Response{User: &user.DefaultInfo{Name: "north"}}, true, nil
}

func (k *knows) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	right := a.GetVerb() + " " + a.GetPath()
	if a.IsResourceRequest() {
		right = fmt.Sprintf("%s %s.%s/%s %s/%s", a.GetVerb(), a.GetResource(), a.GetAPIGroup(), a.GetSubresource(), a.GetNamespace(), a.GetName())
	}
	k.asked = append(k.asked, right)
	return authorizer.DecisionAllow, "", nil
}

// guarded is a server whose callers are reviewed, with what its routes' handlers saw.
func guarded(t *testing.T, k *knows, patterns ...string) (s *Server, reached *[]string) {
	t.Helper()
	reached = &[]string{}
	s = New(Settings{MaxTimeout: open.MaxTimeout, MaxBody: 10}, Options{Admit: admission(k, k)})
	for _, pattern := range patterns {
		if err := s.Handle(pattern, "", note(reached)); err != nil {
			t.Fatal(err)
		}
	}
	return s, reached
}

func note(reached *[]string) http.Handler {
	return Answer(func(r *http.Request) (int, any, error) {
		*reached = append(*reached, r.Pattern)
		return http.StatusNoContent, nil, nil
	})
}

// What is authorized has to be what is routed.
func TestAPathThatIsNotCleanIsRefusedFirst(t *testing.T) {
	for path, want := range map[string]int{
		"/payments/north/p":           http.StatusNoContent,
		"/payments/north/a%20b":       http.StatusNoContent,
		"/payments/north/%C3%BC~!%24": http.StatusNoContent,
		"/payments/north%2F..%2Fs/p":  http.StatusBadRequest,
		"/payments/north/%2e%2E":      http.StatusBadRequest,
		"/payments/north/../south/p":  http.StatusBadRequest,
		"/payments/./north/p":         http.StatusBadRequest,
		"/payments//north/p":          http.StatusBadRequest,
		"//payments/north/p":          http.StatusBadRequest,
		"/payments/north/a%5Cb":       http.StatusBadRequest,
		"/payments/north/a%00b":       http.StatusBadRequest,
		"/payments/north/a%0Ab":       http.StatusBadRequest,
	} {
		k := &knows{}
		s, reached := guarded(t, k, "GET /payments/{namespace}/{name}")
		w := ask(t.Context(), s, http.MethodGet, path, "")
		if w.Code != want || (len(k.asked) == 1) != (want == http.StatusNoContent) || len(*reached) != len(k.asked) {
			t.Errorf("%s: %d, want %d; asked about %v, reached %v", path, w.Code, want, k.asked, *reached)
		}
	}
}

func TestOpenPathsAreOpenForWhatAnswersThem(t *testing.T) {
	k := &knows{}
	s, reached := guarded(t, k, "POST /{action}", "GET /{a}/{b}")
	for _, c := range []struct {
		method, path string
		code         int
		asked        int
	}{
		{http.MethodGet, HealthPath, http.StatusNoContent, 0},
		{http.MethodHead, HealthPath, http.StatusNoContent, 0},
		{http.MethodGet, DocumentPath, http.StatusOK, 0},
		{http.MethodPost, HealthPath, http.StatusNotFound, 0}, // the route of another is not reached at all
		{http.MethodGet, "/apis/mine", http.StatusNotFound, 0},
		{http.MethodPost, DocumentPath, http.StatusNoContent, 1},
		{http.MethodPost, "/pay", http.StatusNoContent, 1},
	} {
		k.asked, *reached = nil, nil
		w := ask(t.Context(), s, c.method, c.path, "")
		if w.Code != c.code || len(k.asked) != c.asked || len(*reached) != c.asked {
			t.Errorf("%s %s: %d, want %d; asked about %v, reached %v", c.method, c.path, w.Code, c.code, k.asked, *reached)
		}
	}
}

func TestPatternsAreReadAsTheMuxReadsThem(t *testing.T) {
	for _, pattern := range []string{
		"/apis/mine", "GET  /apis/mine", "GET\t/apis/mine", "GET example.com/apis/mine", "example.com/healthz", "GET /%61pis/mine", "POST /version",
	} {
		if err := New(open, Options{}).Handle(pattern, "", http.NotFoundHandler()); err == nil {
			t.Errorf("%q is registered", pattern)
		}
	}
	for _, pattern := range []string{"GET /mine", "/mine/{x}", "GET example.com/mine"} {
		if err := New(open, Options{}).Handle(pattern, "", http.NotFoundHandler()); err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	if err := New(open, Options{}).Handle("GET", "", http.NotFoundHandler()); err == nil {
		t.Error("a pattern without a path is registered")
	}
}

func TestARouteAboutAnObjectNeedsTheRightToTheObject(t *testing.T) {
	k := &knows{}
	s, reached := guarded(t, k)
	needs := Access{Verb: "get", Group: "payments.example.com", Resource: "payments", Subresource: "state"}
	for _, pattern := range []string{"GET /payments/{namespace}/{name}/state", "GET /all/{name}", "GET /some/{namespace}"} {
		if err := s.HandleObject(pattern, "", needs, note(reached)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/payments/north/p%20q/state": "get payments.payments.example.com/state north/p q",
		"/all/p":                      "get payments.payments.example.com/state /p",
		"/some/north":                 "get payments.payments.example.com/state north/",
		"/else":                       "get /else",
	} {
		k.asked = nil
		ask(t.Context(), s, http.MethodGet, path, "")
		if len(k.asked) != 1 || k.asked[0] != want {
			t.Errorf("%s: asked about %q, want %q", path, k.asked, want)
		}
	}
	if s.HandleObject("GET /x/{name}", "", Access{Verb: "get"}, note(reached)) == nil {
		t.Error("a right to nothing was taken")
	}
}

// A page of somebody else, in the browser of who works by --http-insecure.
func TestOtherOriginsChangeNothing(t *testing.T) {
	s := New(open, Options{})
	reached := &[]string{}
	if err := s.Handle("/mine", "", note(reached)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method string
		header []string
		code   int
	}{
		{http.MethodPost, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{http.MethodPost, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		{http.MethodPost, []string{"Sec-Fetch-Site", "same-origin"}, http.StatusNoContent},
		{http.MethodPost, nil, http.StatusNoContent},
		{http.MethodGet, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusNoContent},
	} {
		if w := ask(t.Context(), s, c.method, "/mine", "", c.header...); w.Code != c.code {
			t.Errorf("%s with %v: %d, want %d", c.method, c.header, w.Code, c.code)
		}
	}
}
