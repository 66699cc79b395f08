package outbound

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// health is a service whose answers a test makes.
type health struct {
	healthpb.UnimplementedHealthServer
	answer func(ctx context.Context) error
}

func (h *health) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{}, h.answer(ctx)
}

func (h *health) Watch(_ *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	if err := s.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}); err != nil {
		return err
	}
	return h.answer(s.Context())
}

// dialed returns a client of a service in memory.
func dialed(t *testing.T, s Settings, answer func(ctx context.Context) error) healthpb.HealthClient {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, &health{answer: answer})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	connection, err := Dial("passthrough:bank", s, Plaintext(), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return listener.DialContext(ctx)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		connection.Close()
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return healthpb.NewHealthClient(connection)
}

func hang(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// exhausted is the status of a server that may say when to come back.
func exhausted(t *testing.T, wait time.Duration) error {
	st := status.New(codes.ResourceExhausted, "slow down")
	if wait > 0 {
		var err error
		if st, err = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err != nil {
			t.Fatal(err)
		}
	}
	return st.Err()
}

func TestCallsAreRepeatedIfThatIsSafeAndHelps(t *testing.T) {
	cases := map[string]struct {
		answer   error // to the first attempt; nil is none
		options  []grpc.CallOption
		attempts int32
		least    time.Duration
	}{
		"unavailable":                  {status.Error(codes.Unavailable, "restarting"), []grpc.CallOption{Idempotent()}, 2, 0},
		"unavailable, not idempotent":  {status.Error(codes.Unavailable, "restarting"), nil, 1, 0},
		"silent":                       {nil, []grpc.CallOption{Idempotent()}, 2, 2 * time.Second},
		"exhausted, says when":         {exhausted(t, 3*time.Second), []grpc.CallOption{Idempotent()}, 2, 3 * time.Second},
		"exhausted, does not":          {exhausted(t, 0), []grpc.CallOption{Idempotent()}, 1, 0},
		"exhausted, beyond the time":   {exhausted(t, time.Minute), []grpc.CallOption{Idempotent()}, 1, 0},
		"internal":                     {status.Error(codes.Internal, "bug"), []grpc.CallOption{Idempotent()}, 1, 0},
		"the server's own call failed": {status.Error(codes.DeadlineExceeded, "upstream"), []grpc.CallOption{Idempotent()}, 1, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				client := dialed(t, bank, func(ctx context.Context) error {
					switch {
					case asked.Add(1) > 1:
						return nil
					case c.answer == nil:
						return hang(ctx)
					}
					return c.answer
				})
				ctx, attempts := Counting(t.Context())
				begun := time.Now()
				_, err := client.Check(ctx, &healthpb.HealthCheckRequest{}, c.options...)
				if took := time.Since(begun); attempts.Load() != c.attempts || took < c.least || took > c.least+time.Second {
					t.Errorf("%d attempts in %s, want %d", attempts.Load(), took, c.attempts)
				}
				if c.attempts > 1 && err != nil || c.attempts == 1 && status.Code(err) != status.Code(c.answer) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

func TestGRPCErrorsKeepTheCause(t *testing.T) {
	calls := map[string]func(context.Context, healthpb.HealthClient) error{
		"unary": func(ctx context.Context, c healthpb.HealthClient) error {
			_, err := c.Check(ctx, &healthpb.HealthCheckRequest{})
			return err
		},
		"stream": func(ctx context.Context, c healthpb.HealthClient) error {
			s, err := c.Watch(ctx, &healthpb.HealthCheckRequest{})
			if err != nil {
				return err
			}
			if _, err := s.Recv(); err != nil {
				return err
			}
			_, err = s.Recv()
			return err
		},
	}
	long := bank
	long.Call.Attempt = long.Call.Timeout
	for kind, call := range calls {
		for name, c := range map[string]struct {
			ctx  func(context.Context) (context.Context, context.CancelFunc)
			want *cause.Cause
			code codes.Code
		}{
			"the call's time": {context.WithCancel, cause.OperationDeadline, codes.DeadlineExceeded},
			"the caller's time": {func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(ctx, time.Second, cause.ReconcileDeadline)
			}, cause.ReconcileDeadline, codes.DeadlineExceeded},
			"the caller's decision": {func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(ctx)
				time.AfterFunc(time.Second, func() { cancel(mine) })
				return ctx, func() { cancel(nil) }
			}, mine, codes.Canceled},
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client := dialed(t, long, hang)
					ctx, cancel := c.ctx(t.Context())
					defer cancel()
					err := call(ctx, client)
					if o := cause.Classify(t.Context(), err); o.Name != c.want.Name() || !errors.Is(err, c.want) {
						t.Errorf("outcome %s of %v, want %s", o.Name, err, c.want.Name())
					}
					if status.Code(err) != c.code {
						t.Errorf("code %s, want %s", status.Code(err), c.code)
					}
					if !strings.HasPrefix(err.Error(), "bank: ") {
						t.Errorf("error %q does not say whose", err)
					}
				})
			})
		}
	}
}

func TestAServersDeadlineIsADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for code, want := range map[codes.Code]error{codes.DeadlineExceeded: context.DeadlineExceeded, codes.Canceled: context.Canceled} {
			client := dialed(t, bank, func(context.Context) error { return status.Error(code, "upstream") })
			if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); !errors.Is(err, want) {
				t.Errorf("%s: %v", code, err)
			}
		}
	})
}

func TestGRPCTellsTimeAndTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left time.Duration
		var parent []string
		client := dialed(t, bank, func(ctx context.Context) error {
			deadline, _ := ctx.Deadline()
			left, parent = time.Until(deadline), metadata.ValueFromIncomingContext(ctx, "traceparent")
			return nil
		})
		span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
		if _, err := client.Check(trace.ContextWithSpanContext(t.Context(), span), &healthpb.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
		if left <= 0 || left > bank.Call.Attempt {
			t.Errorf("%s left", left)
		}
		if len(parent) != 1 || !strings.Contains(parent[0], span.TraceID().String()) {
			t.Errorf("traceparent %q", parent)
		}
	})
}

func TestGRPCMessagesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for limit, want := range map[int]codes.Code{1: codes.ResourceExhausted, 2: codes.OK} {
			s := bank
			s.MaxAnswer = limit
			stream, err := dialed(t, s, func(context.Context) error { return nil }).Watch(t.Context(), &healthpb.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); status.Code(err) != want {
				t.Errorf("two bytes of %d: %v", limit, err)
			}
		}
	})
}

func TestCallsJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, open := bank, 0
		s.Call.Backoff = budget.Backoff{}
		s.Join = func(ctx context.Context) (context.Context, context.CancelFunc, error) {
			open++
			return ctx, func() { open-- }, nil
		}
		client := dialed(t, s, func(context.Context) error {
			if open != 1 {
				t.Errorf("%d joined", open)
			}
			return nil
		})
		if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
			t.Error(err)
		}
		stream, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		if open != 0 {
			t.Errorf("%d have not left", open)
		}
		s.Join = func(context.Context) (context.Context, context.CancelFunc, error) {
			return nil, nil, cause.LeadershipLost
		}
		client = dialed(t, s, func(context.Context) error { t.Error("asked"); return nil })
		if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); !errors.Is(err, cause.LeadershipLost) || status.Code(err) != codes.Canceled {
			t.Errorf("out of a term: %v", err)
		}
	})
}
