package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"
)

// reviewer is an API server to which one token is right, and that counts the reviews.
type reviewer struct {
	mu      sync.Mutex
	reviews []authenticationv1.TokenReviewSpec
	without bool // knows no audiences
}

func (v *reviewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	if !strings.HasSuffix(r.URL.Path, "/tokenreviews") {
		_ = json.NewEncoder(w).Encode(authorizationv1.SubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}})
		return
	}
	var review authenticationv1.TokenReview
	_ = json.NewDecoder(r.Body).Decode(&review)
	v.reviews = append(v.reviews, review.Spec)
	if review.Spec.Token == "right" {
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "north"}}
		if !v.without {
			review.Status.Audiences = review.Spec.Audiences
		}
	} else {
		review.Status = authenticationv1.TokenReviewStatus{Error: "[invalid bearer token]"}
	}
	_ = json.NewEncoder(w).Encode(review)
}

// reviewed is a server whose callers v reviews.
func reviewed(t *testing.T, v *reviewer, audiences ...string) *Server {
	t.Helper()
	api := httptest.NewServer(v)
	t.Cleanup(api.Close)
	admit, err := Reviews(&rest.Config{Host: api.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, api.Client(), audiences...)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Settings{MaxTimeout: open.MaxTimeout, MaxBody: 10}, Options{Admit: admit})
	if err := s.Handle("GET /x", "", note(&[]string{})); err != nil {
		t.Fatal(err)
	}
	return s
}

func showing(t *testing.T, s *Server, token string) int {
	return ask(t.Context(), s, http.MethodGet, "/x", "", "Authorization", "Bearer "+token).Code
}

func TestAWrongTokenIsReviewedOnce(t *testing.T) {
	v := &reviewer{}
	s := reviewed(t, v)
	for range 50 {
		if code := showing(t, s, "wrong"); code != http.StatusUnauthorized {
			t.Fatal(code)
		}
	}
	if len(v.reviews) != 1 {
		t.Errorf("%d reviews of one wrong token", len(v.reviews))
	}
	if code := showing(t, s, "right"); code != http.StatusNoContent {
		t.Errorf("the right token: %d", code)
	}
}

// Whoever is known goes on while a stranger tries one token after the other.
func TestTheReviewsOfStrangersAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which no time passes
		v := &reviewer{}
		s := reviewed(t, v)
		if code := showing(t, s, "right"); code != http.StatusNoContent {
			t.Fatal(code)
		}
		refused := map[int]int{}
		for i := range 10 * reviewBurst {
			refused[showing(t, s, fmt.Sprint("wrong ", i))]++
		}
		if refused[http.StatusServiceUnavailable] == 0 || len(v.reviews) > reviewBurst {
			t.Errorf("answers %v, %d reviews", refused, len(v.reviews))
		}
		if code := showing(t, s, "right"); code != http.StatusNoContent {
			t.Errorf("a token that is known, meanwhile: %d", code)
		}
	})
}

func TestATokenMustBeMeantForTheOperator(t *testing.T) {
	for _, c := range []struct {
		audiences []string
		without   bool
		code      int
	}{
		{nil, false, http.StatusNoContent},
		{nil, true, http.StatusNoContent},
		{[]string{"payments"}, false, http.StatusNoContent},
		{[]string{"payments"}, true, http.StatusUnauthorized},
	} {
		v := &reviewer{without: c.without}
		code := showing(t, reviewed(t, v, c.audiences...), "right")
		if code != c.code || len(v.reviews) != 1 || !slices.Equal(v.reviews[0].Audiences, c.audiences) {
			t.Errorf("%+v: %d, reviews %+v", c, code, v.reviews)
		}
	}
	if got := (Settings{Audiences: "a, b,"}).TokenAudiences(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}
