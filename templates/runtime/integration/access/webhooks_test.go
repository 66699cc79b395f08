//go:build integration

package access_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
	webhookconversion "sigs.k8s.io/controller-runtime/pkg/webhook/conversion"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/admission"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/integration/cluster"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// misleading returns a widget of the tenant north that names another tenant, as a webhook
// would not let it, and with a label by which a webhook of this name is asked about it.
func misleading(name string) *runtimetest.Widget {
	w := &runtimetest.Widget{ObjectMeta: meta(north, name)}
	w.Labels = map[string]string{"checked-by": name}
	w.Annotations = map[string]string{"reads": south}
	return w
}

// guard adds a webhook that refuses all that is labelled for it, as nobody answers.
func (o *operator) guard(name string) *admissionregistrationv1.ValidatingWebhookConfiguration {
	o.t.Helper()
	hook := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         name + ".test.ctxscaffold.dev",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: new("https://127.0.0.1:1/validate")},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{runtimetest.GroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{"widgets"},
				},
			}},
			FailurePolicy:           new(admissionregistrationv1.Fail),
			ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{"checked-by": name}},
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	o.create(hook)
	c := client.NewDryRunClient(plane.Client(o.t))
	cluster.Eventually(o.t, "the webhook", func() string {
		if err := c.Create(o.t.Context(), misleading(name)); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
			return fmt.Sprintf("is not asked: %v", err)
		}
		return ""
	})
	return hook
}

// admitted waits until an object is let in.
func (o *operator) admitted(w *runtimetest.Widget) {
	o.t.Helper()
	cluster.Eventually(o.t, "the object that no webhook sees", func() string {
		if err := plane.Client(o.t).Create(o.t.Context(), w); err != nil && !apierrors.IsAlreadyExists(err) {
			return err.Error()
		}
		return ""
	})
}

// follow reads what an object names, in a pass over it.
func (o *operator) follow(w *runtimetest.Widget) error {
	return o.pass(w, func(ctx context.Context, w *runtimetest.Widget) error {
		return getWidget(ctx, o.GetClient(), w.Annotations["reads"])
	})
}

// pastWebhooks are the attempts of objects that no webhook has seen.
var pastWebhooks = []attempt{
	{"name another tenant's object in one that was there before the webhook", reader, func(_ context.Context, rt *operator) error {
		w := misleading("before")
		rt.create(w)
		rt.guard("before")
		return rt.follow(w)
	}},
	{"the same when the webhook has been deleted", reader, func(_ context.Context, rt *operator) error {
		w, hook := misleading("deleted"), rt.guard("deleted")
		if err := plane.Client(rt.t).Delete(rt.t.Context(), hook); err != nil {
			return err
		}
		rt.admitted(w)
		return rt.follow(w)
	}},
	{"the same when it does not answer, with failurePolicy Ignore", reader, func(_ context.Context, rt *operator) error {
		w, hook := misleading("ignored"), rt.guard("ignored")
		hook.Webhooks[0].FailurePolicy = new(admissionregistrationv1.Ignore)
		if err := plane.Client(rt.t).Update(rt.t.Context(), hook); err != nil {
			return err
		}
		rt.admitted(w)
		return rt.follow(w)
	}},
	{"the same where its namespaceSelector leaves the namespace out", reader, func(_ context.Context, rt *operator) error {
		w, hook := misleading("excluded"), rt.guard("excluded")
		hook.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": south}}
		if err := plane.Client(rt.t).Update(rt.t.Context(), hook); err != nil {
			return err
		}
		rt.admitted(w)
		return rt.follow(w)
	}},
	{"name it in the status, which is written past webhooks", reader, func(_ context.Context, rt *operator) error {
		w := &runtimetest.Widget{ObjectMeta: meta(north, "status")}
		rt.create(w)
		rack := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"place":{"rack":"`+south+`"}}}`))
		if err := plane.Client(rt.t).Status().Patch(rt.t.Context(), w, rack); err != nil {
			return err
		}
		return rt.pass(w, func(ctx context.Context, w *runtimetest.Widget) error {
			return getWidget(ctx, rt.GetClient(), w.Status.Place.Rack)
		})
	}},
}

// convertible is a kind with two versions, of which the first is the one that is stored.
type convertible struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec map[string]string `json:"spec,omitempty"`
}

func (c *convertible) copyInto(out *convertible) {
	*out = *c
	c.DeepCopyInto(&out.ObjectMeta)
}

type hub struct{ convertible }

// Hub implements conversion.Hub.
func (*hub) Hub() {}

// DeepCopyObject implements runtime.Object.
func (h *hub) DeepCopyObject() runtime.Object {
	out := &hub{}
	h.copyInto(&out.convertible)
	return out
}

type spoke struct{ convertible }

// ConvertTo implements conversion.Convertible.
func (s *spoke) ConvertTo(to conversion.Hub) error { return s.convert(&to.(*hub).convertible) }

// ConvertFrom implements conversion.Convertible.
func (s *spoke) ConvertFrom(from conversion.Hub) error {
	return from.(*hub).convert(&s.convertible)
}

func (c *convertible) convert(to *convertible) error {
	to.ObjectMeta, to.Spec = c.ObjectMeta, c.Spec
	return nil
}

// DeepCopyObject implements runtime.Object.
func (s *spoke) DeepCopyObject() runtime.Object {
	out := &spoke{}
	s.copyInto(&out.convertible)
	return out
}

// converts serves conversions until the test ends, and returns where.
func (o *operator) converts() string {
	o.t.Helper()
	scheme := runtime.NewScheme()
	group := schema.GroupVersion{Group: "other.ctxscaffold.dev", Version: "v1"}
	scheme.AddKnownTypeWithName(group.WithKind("Widget"), &hub{})
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: group.Group, Version: "v2", Kind: "Widget"}, &spoke{})
	rt := assemble(o.t, plane.Config, manager.Settings{Webhook: admission.Settings{
		BindAddress: "127.0.0.1:0", CertDir: o.t.TempDir(), SelfSigned: "127.0.0.1",
	}}, nil)
	server := rt.GetWebhookServer().(*admission.Server)
	server.Register(admission.ConversionPath, webhookconversion.NewWebhookHandler(scheme, rt.GetConverterRegistry()))
	start(o.t, rt)
	cluster.Eventually(o.t, "the webhook server", func() string {
		if server.Addr() == "" || server.Ready(nil) != nil {
			return "not ready"
		}
		return ""
	})
	return "https://" + server.Addr() + admission.ConversionPath
}

// errNothing says that an answer has nothing of the cluster.
var errNothing = errors.New("the answer has what was sent")

// toWebhooks are requests to the operator's own port, without a certificate.
var toWebhooks = []attempt{
	{"have another tenant's object converted, to read it", conversions, func(ctx context.Context, rt *operator) error {
		secret := otherWidget("v1", south, "secret")
		secret.Object["spec"] = map[string]any{"secret": "of south"}
		rt.create(secret)
		asked := otherWidget("v1", south, "secret")
		answer, err := rt.convert(ctx, rt.converts(), asked, "other.ctxscaffold.dev/v2")
		if err != nil {
			return err
		}
		if answer.GetName() != "secret" || answer.GetAPIVersion() != "other.ctxscaffold.dev/v2" {
			return fmt.Errorf("converted to %v", answer)
		}
		if answer.Object["spec"] != nil {
			return nil
		}
		return errNothing
	}},
}

// convert asks for the conversion of an object.
func (o *operator) convert(ctx context.Context, url string, obj *unstructured.Unstructured, version string) (*unstructured.Unstructured, error) {
	review, err := json.Marshal(map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
		"request": map[string]any{"uid": "1", "desiredAPIVersion": version, "objects": []any{obj.Object}},
	})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(review))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer c.CloseIdleConnections()
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Response struct {
			ConvertedObjects []map[string]any `json:"convertedObjects"`
			Result           metav1.Status    `json:"result"`
		} `json:"response"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if len(answer.Response.ConvertedObjects) != 1 {
		return nil, fmt.Errorf("%s: %s", response.Status, answer.Response.Result.Message)
	}
	return &unstructured.Unstructured{Object: answer.Response.ConvertedObjects[0]}, nil
}
