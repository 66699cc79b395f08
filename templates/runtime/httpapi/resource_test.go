package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// stub is a client of one stored object, and of a list of others.
type stub struct {
	*runtimetest.Server
	listed  []runtimetest.Widget
	created client.Object
	fails   error
}

func (s *stub) GetClient() client.Client { return s }

func (s *stub) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*runtimetest.WidgetList).Items = s.listed
	return s.fails
}

func (s *stub) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	s.created = obj
	return s.fails
}

const items = "/apis/test.example.com/v1/namespaces/default/widgets"

func widgets(t *testing.T) (*stub, *Server) {
	t.Helper()
	rt := &stub{Server: &runtimetest.Server{}}
	settings := open
	settings.MaxBody = 1000
	s := New(settings, Options{})
	if err := Register(s, rt, Resource{
		Kind: schema.GroupVersionKind{Group: "test.example.com", Version: "v1", Kind: "Widget"}, Plural: "widgets", Namespaced: true,
		Fields: []string{"spec"}, Owner: "test",
		New:     func() client.Object { return &runtimetest.Widget{} },
		NewList: func() client.ObjectList { return &runtimetest.WidgetList{} },
	}); err != nil {
		t.Fatal(err)
	}
	return rt, s
}

func TestWhatIsReadIsShownWithItsKind(t *testing.T) {
	rt, s := widgets(t)
	rt.Put(`{"metadata":{"managedFields":[{"manager":"m"}]}}`)
	w := ask(t.Context(), s, http.MethodGet, items+"/w", "")
	expect(t, w, http.StatusOK, `"kind":"Widget"`, `"apiVersion":"test.example.com/v1"`)
	if strings.Contains(w.Body.String(), "managedFields") {
		t.Errorf("answer %s", w.Body)
	}
	expect(t, ask(t.Context(), s, http.MethodGet, items+"/other", ""), http.StatusNotFound)
}

func TestUpdateReplacesTheFieldsThatAreGiven(t *testing.T) {
	rt, s := widgets(t)
	rt.Put(`{"spec":{"size":1}}`)
	version := rt.Widget().ResourceVersion
	expect(t, ask(t.Context(), s, http.MethodPut, items+"/w", `{"spec":{"size":2}}`), http.StatusOK, `"size":2`)
	expect(t, ask(t.Context(), s, http.MethodPut, items+"/w", `{"metadata":{"resourceVersion":"`+version+`"},"spec":{"size":3}}`), http.StatusConflict)
	if n := len(rt.Patches()); n != 2 {
		t.Errorf("%d patches", n)
	}
}

func TestBodiesThatSayTooMuch(t *testing.T) {
	rt, s := widgets(t)
	rt.Put(`{}`)
	for body, text := range map[string]string{
		`{`:                        "body",
		`[]`:                       "body",
		"{\"spec\":\"\xff\"}":      "UTF-8",
		`{"status":{}}`:            "status: is not a field that can be set",
		`{"metadata":{"uid":"1"}}`: "unknown field",
		`{"kind":"Gadget"}`:        "want \\\"Widget\\\"",
		`{"apiVersion":1}`:         "apiVersion",
	} {
		expect(t, ask(t.Context(), s, http.MethodPost, items, body), http.StatusBadRequest, text)
		expect(t, ask(t.Context(), s, http.MethodPut, items+"/w", body), http.StatusBadRequest, text)
	}
	for body, text := range map[string]string{
		`{}`:                                  "no field",
		`{"metadata":{"name":"x"},"spec":{}}`: "not that of the path",
		`{"metadata":{"labels":{"a":"b"}},"spec":{}}`:      "not updated here",
		`{"metadata":{"resourceVersion":7},"spec":{}}`:     "metadata",
		`{"metadata":{"annotations":{"a":1}},"spec":{}}`:   "metadata",
		`{"metadata":{"name":"w"},"spec":{},"extra":true}`: "extra",
	} {
		expect(t, ask(t.Context(), s, http.MethodPut, items+"/w", body), http.StatusBadRequest, text)
	}
	if rt.created != nil || len(rt.Patches()) != 0 {
		t.Error("something was written")
	}
}

func TestCreateAndDelete(t *testing.T) {
	rt, s := widgets(t)
	expect(t, ask(t.Context(), s, http.MethodPost, items, `{"metadata":{"name":"w","labels":{"a":"b"}},"spec":{"size":1}}`), http.StatusCreated)
	if o := rt.created; o == nil || o.GetName() != "w" || o.GetNamespace() != "default" || o.GetLabels()["a"] != "b" {
		t.Errorf("created %v", o)
	}
	rt.Put(`{}`)
	expect(t, ask(t.Context(), s, http.MethodDelete, items+"/w", ""), http.StatusAccepted)
	if rt.Widget() != nil {
		t.Error("not deleted")
	}
	expect(t, ask(t.Context(), s, http.MethodDelete, items+"/a%2Fb", ""), http.StatusBadRequest)
	expect(t, ask(t.Context(), s, http.MethodDelete, items+"/a%25b", ""), http.StatusBadRequest)
	expect(t, ask(t.Context(), s, http.MethodDelete, items+"/%2E%2E", ""), http.StatusBadRequest)
}

func TestListsHavePages(t *testing.T) {
	rt, s := widgets(t)
	for _, i := range []int{3, 1, 2} {
		w := runtimetest.Widget{}
		w.Namespace, w.Name = "default", fmt.Sprintf("w%d", i)
		rt.listed = append(rt.listed, w)
	}
	first := ask(t.Context(), s, http.MethodGet, items+"?limit=2", "")
	expect(t, first, http.StatusOK, `"name":"w1"`, `"name":"w2"`, `"continue":`)
	next := first.Body.String()
	next = next[strings.Index(next, `"continue":"`)+len(`"continue":"`):]
	next = next[:strings.Index(next, `"`)]
	last := ask(t.Context(), s, http.MethodGet, items+"?limit=2&continue="+next, "")
	expect(t, last, http.StatusOK, `"name":"w3"`)
	for _, text := range []string{`"w1"`, `"w2"`, "continue"} {
		if strings.Contains(last.Body.String(), text) {
			t.Errorf("the last page has %s: %s", text, last.Body)
		}
	}
	for _, query := range []string{"limit=0", "limit=501", "limit=x", "continue=!", "continue=YQ", "labelSelector=!!"} {
		expect(t, ask(t.Context(), s, http.MethodGet, items+"?"+query, ""), http.StatusBadRequest)
	}
	rt.listed = nil
	expect(t, ask(t.Context(), s, http.MethodGet, items, ""), http.StatusOK, `{"items":[]}`)
}

// A page ends before it is larger than what may be held for an answer.
func TestPagesAreLimitedInBytes(t *testing.T) {
	rt, s := widgets(t)
	for i := range 3 {
		w := runtimetest.Widget{}
		w.Namespace, w.Name = "default", fmt.Sprintf("w%d", i)
		w.Annotations = map[string]string{"large": strings.Repeat("x", maxPage/2)}
		rt.listed = append(rt.listed, w)
	}
	w := ask(t.Context(), s, http.MethodGet, items, "")
	expect(t, w, http.StatusOK)
	if n := w.Body.Len(); n > maxPage || n < maxPage/2 {
		t.Errorf("%d bytes", n)
	}
	if !strings.Contains(w.Body.String(), `"continue":`) {
		t.Error("nothing says that there is more")
	}
}

func TestErrorsAreAnsweredByWhatTheySay(t *testing.T) {
	things := schema.GroupResource{Resource: "widgets"}
	for _, c := range []struct {
		err  error
		code int
	}{
		{apierrors.NewBadRequest("x"), 400},
		{apierrors.NewForbidden(things, "w", errors.New("x")), 403},
		{apierrors.NewNotFound(things, "w"), 404},
		{apierrors.NewAlreadyExists(things, "w"), 409},
		{apierrors.NewConflict(things, "w", errors.New("x")), 409},
		{apierrors.NewInvalid(schema.GroupKind{}, "w", nil), 422},
		{fmt.Errorf("wrapped: %w", apierrors.NewNotFound(things, "w")), 404},
		{apierrors.NewUnauthorized("x"), 503},
		{apierrors.NewTooManyRequests("x", 1), 503},
		{apierrors.NewInternalError(errors.New("webhook")), 503},
		{apierrors.NewServerTimeout(things, "get", 1), 503},
		{&meta.NoKindMatchError{}, 503},
		{cause.LeadershipLost, 503},
		{context.DeadlineExceeded, 504},
		{&httpx.Failure{Code: 418, Err: errors.New("x")}, 418},
		{errors.New("secret"), 500},
	} {
		f := failure(t.Context(), c.err)
		if f.Code != c.code || (c.code == 503) != (f.RetryAfter > 0) || strings.Contains(f.Error(), "secret") {
			t.Errorf("%v: %d (%v), again after %s; want %d", c.err, f.Code, f, f.RetryAfter, c.code)
		}
	}
}

// says is an authenticator and an authorizer.
type says struct {
	ok       bool
	who, may error
	decision authorizer.Decision
}

func (s says) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	r.Header.Del("Authorization")
	return &authenticator.Response{User: &user.DefaultInfo{Name: "alice"}}, s.ok, s.who
}

func (s says) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() != "get" || a.GetPath() != "/x" || a.IsResourceRequest() || a.GetUser().GetName() != "alice" {
		return authorizer.DecisionDeny, "", errors.New("other attributes")
	}
	return s.decision, "", s.may
}

func TestReviews(t *testing.T) {
	down := apierrors.NewInternalError(errors.New("down"))
	for what, c := range map[string]struct {
		says says
		code int
	}{
		"allowed":                 {says{ok: true, decision: authorizer.DecisionAllow}, 0},
		"denied":                  {says{ok: true, decision: authorizer.DecisionDeny}, 403},
		"no opinion":              {says{ok: true, decision: authorizer.DecisionNoOpinion}, 403},
		"no token":                {says{}, 401},
		"a wrong token":           {says{who: utilerrors.NewAggregate([]error{errors.New("invalid bearer token")})}, 401},
		"no review of the token":  {says{who: utilerrors.NewAggregate([]error{down})}, 503},
		"no right to review":      {says{who: utilerrors.NewAggregate([]error{apierrors.NewForbidden(schema.GroupResource{Resource: "tokenreviews"}, "", errors.New("x"))})}, 503},
		"no review of the access": {says{ok: true, may: down}, 503},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		f := admission(c.says, c.says)(r)
		if f == nil != (c.code == 0) || f != nil && f.Code != c.code {
			t.Errorf("%s: %v, want %d", what, f, c.code)
		}
	}
}

// Objects need the right that the API server would ask for, whatever the query
// says.
func TestWhatNeedsARight(t *testing.T) {
	const group = "/apis/test.example.com/v1"
	for _, c := range []struct {
		method, target string
		want           string // verb, group, resource, namespace, name
	}{
		{http.MethodGet, group + "/widgets", "list test.example.com widgets  "},
		{http.MethodGet, items, "list test.example.com widgets default "},
		{http.MethodGet, items + "?fieldSelector=metadata.name%3Dw&watch=1", "list test.example.com widgets default "},
		{http.MethodHead, items + "/w", "get test.example.com widgets default w"},
		{http.MethodPost, items, "create test.example.com widgets default "},
		{http.MethodPut, items + "/w", "update test.example.com widgets default w"},
		{http.MethodDelete, items + "/w", "delete test.example.com widgets default w"},
		{http.MethodPost, "/payments/x", "post /payments/x"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, c.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := attributes(r)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s %s %s %s %s", a.GetVerb(), a.GetAPIGroup(), a.GetResource(), a.GetNamespace(), a.GetName())
		if !a.IsResourceRequest() {
			got = a.GetVerb() + " " + a.GetPath()
		}
		if got != c.want {
			t.Errorf("%s %s needs %q, want %q", c.method, c.target, got, c.want)
		}
	}
}
