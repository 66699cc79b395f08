package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

type widget = runtimetest.Widget

// process is a Runtime without anything else.
type process struct{ *Server }

func (p process) GetScheme() *runtime.Scheme       { return runtimetest.Scheme() }
func (p process) GetWebhookServer() webhook.Server { return p.Server }

// rules have every method; each does what the test says.
type rules struct {
	err   error
	panic bool
	calls []string
}

func (r *rules) call(ctx context.Context, name string) error {
	log.FromContext(ctx).Info(name)
	r.calls = append(r.calls, name)
	if r.panic {
		panic("boom")
	}
	return r.err
}

func (r *rules) Default(ctx context.Context, obj *widget) error {
	obj.Spec.Size = 7
	return r.call(ctx, "default")
}

func (r *rules) ValidateCreate(ctx context.Context, _ *widget) (Warnings, error) {
	return Warnings{"careful"}, r.call(ctx, "create")
}

func (r *rules) ValidateUpdate(ctx context.Context, _, _ *widget) (Warnings, error) {
	return nil, r.call(ctx, "update")
}

func (r *rules) ValidateDelete(ctx context.Context, _ *widget) (Warnings, error) {
	return nil, r.call(ctx, "delete")
}

// review sends an operation on a widget to the handler at path.
func review(t *testing.T, user any, path string, operation admissionv1.Operation, metadata string) (int, *admissionv1.AdmissionResponse, string) {
	t.Helper()
	object := sent(metadata, `"spec":{"size":1,"unknown":1}`)
	return reviewChange(t, user, path, operation, object, object)
}

// sent is a widget as the API server sends it.
func sent(metadata, fields string) string {
	return fmt.Sprintf(`{"apiVersion":"test.ctxscaffold.dev/v1","kind":"Widget","metadata":{"name":"w"%s},%s}`, metadata, fields)
}

// reviewChange sends an operation that makes object of old.
func reviewChange(t *testing.T, user any, path string, operation admissionv1.Operation, old, object string) (int, *admissionv1.AdmissionResponse, string) {
	t.Helper()
	s, err := Settings{}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(s)
	if err := Register[*widget](process{server}, Paths{Default: "/default", Validate: "/validate"}, user); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{
		UID: "1", Operation: operation,
		Object: runtime.RawExtension{Raw: []byte(object)}, OldObject: runtime.RawExtension{Raw: []byte(old)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(string(text)))
	request.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	server.WebhookMux().ServeHTTP(w, request)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return w.Code, answer.Response, w.Body.String()
}

func TestEachRuleIsAskedAboutItsOperation(t *testing.T) {
	for operation, want := range map[admissionv1.Operation]string{
		admissionv1.Create: "create", admissionv1.Update: "update", admissionv1.Delete: "delete",
	} {
		user := &rules{}
		code, answer, text := review(t, user, "/validate", operation, "")
		if code != http.StatusOK || !answer.Allowed || fmt.Sprint(user.calls) != fmt.Sprintf("[%s]", want) {
			t.Errorf("%s: calls %v, answer %s", operation, user.calls, text)
		}
		if operation == admissionv1.Create && fmt.Sprint(answer.Warnings) != "[careful]" {
			t.Errorf("warnings %v", answer.Warnings)
		}
	}
	code, answer, text := review(t, &rules{}, "/default", admissionv1.Create, "")
	var patch []map[string]any
	if err := json.Unmarshal(answer.Patch, &patch); err != nil {
		t.Fatal(err)
	}
	// What the Go type does not know stays.
	if code != http.StatusOK || len(patch) == 0 || strings.Contains(string(answer.Patch), "remove") || !strings.Contains(string(answer.Patch), `"/spec/size"`) {
		t.Errorf("patch %s in %s", answer.Patch, text)
	}
}

func TestRulesThatAreNotThereAllow(t *testing.T) {
	for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete} {
		for _, path := range []string{"/default", "/validate"} {
			if code, answer, text := review(t, &struct{}{}, path, operation, ""); code != http.StatusOK || !answer.Allowed || answer.Patch != nil {
				t.Errorf("%s %s: %s", operation, path, text)
			}
		}
	}
}

// Whoever may keep an object by a finalizer of their own could else delete it first
// and change then what rules forbid.
func TestOfWhatIsBeingDeletedOnlyMetadataAndStatusAreLetGo(t *testing.T) {
	const (
		deleting = `,"deletionTimestamp":"2030-01-01T00:00:00Z"`
		held     = deleting + `,"finalizers":["test.ctxscaffold.dev/widget"]`
		spec     = `"spec":{"size":1,"unknown":1}`
	)
	for _, test := range []struct {
		what, old, object string
		operation         admissionv1.Operation
		asked             bool
	}{
		{"a finalizer is removed", sent(held, spec), sent(deleting, spec), admissionv1.Update, false},
		{"the status changes", sent(held, spec), sent(held, spec+`,"status":{"phase":"Gone"}`), admissionv1.Update, false},
		{"nothing changes", sent(held, spec), sent(held, spec), admissionv1.Update, false},
		{"a field changes", sent(held, spec), sent(held, `"spec":{"size":2,"unknown":1}`), admissionv1.Update, true},
		{"a field that the Go type does not know", sent(held, spec), sent(held, `"spec":{"size":1,"unknown":2}`), admissionv1.Update, true},
		{"a field beside the spec", sent(held, spec), sent(held, spec+`,"data":{}`), admissionv1.Update, true},
		{"the last finalizer goes with a change", sent(held, spec), sent(deleting, `"spec":{"size":2}`), admissionv1.Update, true},
		{"it is not being deleted", sent("", spec), sent("", spec), admissionv1.Update, true},
		{"a new object says that it is being deleted", sent(deleting, spec), sent(deleting, spec), admissionv1.Create, true},
	} {
		for _, path := range []string{"/default", "/validate"} {
			user := &rules{err: errors.New("too big")}
			code, answer, text := reviewChange(t, user, path, test.operation, test.old, test.object)
			if code != http.StatusOK || answer.Allowed == test.asked || len(user.calls) > 0 != test.asked {
				t.Errorf("%s, at %s: calls %v, answer %s", test.what, path, user.calls, text)
			}
		}
	}
}

func TestAVerdictIsADenialAndAFaultIsNone(t *testing.T) {
	resource := schema.GroupResource{Resource: "widgets"}
	for _, c := range []struct {
		what string
		user rules
		code int // of HTTP; 200: denied
	}{
		{"a verdict", rules{err: errors.New("too big")}, http.StatusOK},
		{"a verdict with a status", rules{err: apierrors.NewForbidden(resource, "w", errors.New("not yours"))}, http.StatusOK},
		{"a deadline", rules{err: fmt.Errorf("ask: %w", context.DeadlineExceeded)}, http.StatusGatewayTimeout},
		{"an operation's budget", rules{err: exhausted(t)}, http.StatusGatewayTimeout},
		{"an API server that cannot answer", rules{err: apierrors.NewInternalError(errors.New("etcd"))}, http.StatusServiceUnavailable},
		{"a fault that passes", rules{err: budget.Transient(errors.New("bank closed"))}, http.StatusServiceUnavailable},
		{"no verdict", rules{err: fmt.Errorf("limits: %w", Undecided(errors.New("unreadable")))}, http.StatusServiceUnavailable},
		{"a panic", rules{panic: true}, http.StatusInternalServerError},
	} {
		for _, path := range []string{"/default", "/validate"} {
			user := c.user
			code, answer, text := review(t, &user, path, admissionv1.Create, "")
			if code != c.code || (answer != nil) != (code == http.StatusOK) || answer != nil && answer.Allowed {
				t.Errorf("%s at %s: HTTP %d %s", c.what, path, code, text)
			}
		}
	}
	if Undecided(nil) != nil {
		t.Error("Undecided(nil) is an error")
	}
}

// exhausted is the error of an operation that used up its budget.
func exhausted(t *testing.T) error {
	t.Helper()
	err := budget.Operation{Name: "bank", Timeout: time.Millisecond}.Do(t.Context(), func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if err == nil {
		t.Fatal("the operation did not end")
	}
	return err
}

// wrong has every method of rules, and nothing would call any of them.
type wrong struct{}

func (wrong) Default(context.Context, runtime.Object) error { return nil }
func (wrong) ValidateCreate(context.Context, *widget) error { return nil }
func (wrong) ValidateUpdate(context.Context, *widget) (Warnings, error) {
	return nil, nil
}
func (wrong) ValidateDelete(*widget) (Warnings, error) { return nil, nil }

func TestAMethodThatNothingWouldCallIsRefused(t *testing.T) {
	s, err := Settings{}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	err = Register[*widget](process{NewServer(s)}, Paths{Default: "/default", Validate: "/validate"}, wrong{})
	if err == nil {
		t.Fatal("Register() took methods that nothing would call")
	}
	for _, want := range []string{"Default(context.Context, *", "ValidateCreate(", "ValidateUpdate(", "ValidateDelete("} {
		if !strings.Contains(err.Error(), "make it "+want) {
			t.Errorf("Register() = %v, want %q in it", err, want)
		}
	}
}
