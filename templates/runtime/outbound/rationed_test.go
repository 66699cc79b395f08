package outbound

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

var errRationed = errors.New("no more calls today")

// nothing admits no call.
type nothing struct{}

func (nothing) Admit(context.Context) error { return errRationed }

func TestCallsAreRationed(t *testing.T) {
	ctx := context.WithValue(t.Context(), budget.MeterKey{}, nothing{})
	s := bank
	s.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("called by HTTP")
	})
	overHTTP := client(t, s)
	overGRPC := dialed(t, bank, func(context.Context) error { return errors.New("called by gRPC") })
	for kind, call := range map[string]func() error{
		"HTTP": func() error {
			response, err := overHTTP.Do(request(ctx, t, http.MethodGet, nil))
			if err == nil {
				response.Body.Close()
			}
			return err
		},
		"unary": func() error {
			_, err := overGRPC.Check(ctx, &healthpb.HealthCheckRequest{})
			return err
		},
		"stream": func() error {
			stream, err := overGRPC.Watch(ctx, &healthpb.HealthCheckRequest{})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
	} {
		err := call()
		if !errors.Is(err, errRationed) || !strings.Contains(err.Error(), "bank: ") {
			t.Errorf("%s: error %v", kind, err)
		}
	}
}
