package admission

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/ability"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

// Warnings are shown to whoever made the request.
type Warnings = admission.Warnings

// Defaulter is implemented by rules that fill in what the CRD's own defaults
// cannot. Like each of the interfaces below it is optional.
type Defaulter[T client.Object] interface {
	// Default changes obj. It may be called twice with the same object.
	Default(ctx context.Context, obj T) error
}

// CreateValidator is implemented by rules for new objects. An error denies the
// request, unless it says that nobody could decide; see [Undecided].
type CreateValidator[T client.Object] interface {
	ValidateCreate(ctx context.Context, obj T) (Warnings, error)
}

// UpdateValidator is implemented by rules for changed objects. While an object is
// being deleted they are not asked about changes of nothing but its metadata and
// status: what was valid once must not keep its finalizers because the rules became
// stricter. About any other change they are.
type UpdateValidator[T client.Object] interface {
	ValidateUpdate(ctx context.Context, old, obj T) (Warnings, error)
}

// DeleteValidator is implemented by rules for the deletion of objects. The
// generated manifests do not send deletions.
type DeleteValidator[T client.Object] interface {
	ValidateDelete(ctx context.Context, obj T) (Warnings, error)
}

// Undecided marks an error as one that is no verdict on the object: the webhook
// fails, and failurePolicy decides. Deadlines, cancellations, broken connections
// and servers that cannot answer need no mark. It returns nil for nil.
func Undecided(err error) error {
	if err == nil {
		return nil
	}
	return &undecided{err}
}

type undecided struct{ error }

func (u *undecided) Unwrap() error { return u.error }

// Paths are where the webhooks of a kind are served.
type Paths struct{ Default, Validate string }

// Runtime is what webhooks are registered with.
type Runtime interface {
	GetScheme() *runtime.Scheme
	GetWebhookServer() webhook.Server
}

// Register serves the rules of a kind at paths. It fails if a method of rules has
// the name of one of the interfaces above and another signature.
func Register[T client.Object](rt Runtime, paths Paths, rules any) error {
	adapted := &adapter[T]{}
	adapted.defaulter, _ = rules.(Defaulter[T])
	adapted.creation, _ = rules.(CreateValidator[T])
	adapted.update, _ = rules.(UpdateValidator[T])
	adapted.deletion, _ = rules.(DeleteValidator[T])
	if err := checkRules[T](rules); err != nil {
		return err
	}
	// A panic is for the server, which makes a failure of it; here it would
	// become a denial.
	server := rt.GetWebhookServer()
	server.Register(paths.Default, admission.WithDefaulter[T](rt.GetScheme(), adapted).WithRecoverPanic(false))
	server.Register(paths.Validate, admission.WithValidator[T](rt.GetScheme(), adapted).WithRecoverPanic(false))
	return nil
}

// checkRules returns an error for each method of rules that has the name of an
// optional one and another signature: it would be ignored.
func checkRules[T client.Object](rules any) error {
	return ability.Check(rules,
		reflect.TypeFor[Defaulter[T]](),
		reflect.TypeFor[CreateValidator[T]](),
		reflect.TypeFor[UpdateValidator[T]](),
		reflect.TypeFor[DeleteValidator[T]](),
	)
}

// adapter makes controller-runtime's interfaces of rules that have a part of
// them.
type adapter[T client.Object] struct {
	defaulter Defaulter[T]
	creation  CreateValidator[T]
	update    UpdateValidator[T]
	deletion  DeleteValidator[T]
}

// Default implements admission.Defaulter.
func (a *adapter[T]) Default(ctx context.Context, obj T) error {
	if a.defaulter == nil || letsGo(ctx) {
		return nil
	}
	return settle(ctx, a.defaulter.Default(observe.IntoLog(ctx), obj))
}

// ValidateCreate implements admission.Validator.
func (a *adapter[T]) ValidateCreate(ctx context.Context, obj T) (Warnings, error) {
	if a.creation == nil {
		return nil, nil
	}
	warnings, err := a.creation.ValidateCreate(observe.IntoLog(ctx), obj)
	return warnings, settle(ctx, err)
}

// ValidateUpdate implements admission.Validator.
func (a *adapter[T]) ValidateUpdate(ctx context.Context, old, obj T) (Warnings, error) {
	if a.update == nil || letsGo(ctx) {
		return nil, nil
	}
	warnings, err := a.update.ValidateUpdate(observe.IntoLog(ctx), old, obj)
	return warnings, settle(ctx, err)
}

// ValidateDelete implements admission.Validator.
func (a *adapter[T]) ValidateDelete(ctx context.Context, obj T) (Warnings, error) {
	if a.deletion == nil {
		return nil, nil
	}
	warnings, err := a.deletion.ValidateDelete(observe.IntoLog(ctx), obj)
	return warnings, settle(ctx, err)
}

// settle makes the webhook fail if err is no verdict. What is returned then is
// not sent.
func settle(ctx context.Context, err error) error {
	if f := httpx.Unanswered(ctx, err); f != nil {
		httpx.Abandon(ctx, f)
	} else if _, ok := errors.AsType[*undecided](err); ok {
		httpx.Abandon(ctx, &httpx.Failure{Code: http.StatusServiceUnavailable, Err: err})
	} else if err != nil {
		noteDenied(ctx, err)
	}
	return err
}
