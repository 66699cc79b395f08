// Package httpapi is the operator's HTTP API: the objects of every kind, and the
// routes in this file, which is yours.
package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	paymentsv1 "example.com/payment-sync/api/payments/v1"
	"example.com/payment-sync/internal/provider"
	"example.com/payment-sync/internal/runtime/budget"
	"example.com/payment-sync/internal/runtime/httpapi"
	"example.com/payment-sync/internal/runtime/manager"
	"example.com/payment-sync/internal/runtime/outbound"
)

// questions says how the provider is asked: no question takes longer than this,
// or than the request that it is asked for.
var questions = outbound.Settings{
	Call: budget.Operation{
		Name:    "ask the provider",
		Timeout: 5 * time.Second,
		Attempt: 2 * time.Second,
		Backoff: budget.Backoff{Attempts: 3, Base: 100 * time.Millisecond, Max: time.Second},
	},
	MaxAnswer: 64 << 10,
}

// defaultEndpoint is asked for payments that name no other.
const defaultEndpoint = "http://payments.example.com"

// needs is the right that the route asks for: to read the payment.
var needs = httpapi.Access{Verb: "get", Group: paymentsv1.GroupVersion.Group, Resource: "paymentsyncs"}

// stateDescription is the route's OpenAPI operation.
const stateDescription = `{
  "operationId": "paymentState",
  "description": "The state of a payment, asked of the provider now.",
  "parameters": [
    {"name": "namespace", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}},
    {"name": "name", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}
  ],
  "responses": {
    "200": {
      "description": "the provider's answer",
      "content": {"application/json": {"schema": {
        "type": "object", "required": ["state"], "properties": {"state": {"type": "string"}}
      }}}
    },
    "default": {
      "description": "what went wrong",
      "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    }
  }
}`

// payments answers for payments.
type payments struct {
	objects  client.Reader
	provider *http.Client
}

// Routes adds the route of payments.
func Routes(rt *manager.Runtime, api *httpapi.Server) error {
	asking, err := provider.Client(questions)
	if err != nil {
		return err
	}
	p := &payments{objects: rt.GetClient(), provider: asking}
	return api.HandleObject("GET /payments/{namespace}/{name}/state", stateDescription, needs, httpapi.Answer(p.state))
}

// answer is what the provider and this route say.
type answer struct {
	State string `json:"state"`
}

// state asks the provider for the state of a payment, within the time of the
// request. What the provider cannot answer now may be asked again.
func (p *payments) state(r *http.Request) (int, any, error) {
	obj := &paymentsv1.PaymentSync{}
	key := client.ObjectKey{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
	if err := p.objects.Get(r.Context(), key, obj); err != nil {
		return 0, nil, err
	}
	found, err := p.ask(r.Context(), obj)
	return http.StatusOK, found, err
}

// ask asks the provider.
func (p *payments) ask(ctx context.Context, obj *paymentsv1.PaymentSync) (found answer, err error) {
	endpoint := defaultEndpoint
	if obj.Spec.Endpoint != nil {
		endpoint = *obj.Spec.Endpoint
	}
	address, err := url.JoinPath(endpoint, "payments", obj.Spec.PaymentID)
	if err != nil {
		return found, budget.Transient(fmt.Errorf("spec.endpoint: %w", err))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return found, budget.Transient(fmt.Errorf("spec.endpoint: %w", err))
	}
	response, err := p.provider.Do(request)
	if err != nil {
		return found, budget.Transient(fmt.Errorf("ask the provider: %w", err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return found, budget.Transient(fmt.Errorf("the provider answers %s", response.Status))
	}
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return found, budget.Transient(fmt.Errorf("read the provider's answer: %w", err))
	}
	return found, nil
}
