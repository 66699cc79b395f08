package outbound

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// reconnect is how often a server that cannot be reached is tried.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
	MinConnectTimeout: dialTime,
}

// Dial returns a connection to target (see grpc.NewClient, which makes it) whose
// calls are made as s says. Unary calls are repeated while the server is
// unavailable, or exhausted and saying when to come back, if their method is
// declared in its service's .proto with an idempotency_level, or the call has the
// option [Idempotent]. Streams are bounded as a whole and not repeated. What the
// service's own configuration says of repetitions does not count.
//
// Errors unwrap to what ended the call and have a gRPC status too. Calls join what
// s.Join ties them to, but for methods declared to have NO_SIDE_EFFECTS.
//
// Without s.TLS the connection is encrypted as the system's authorities allow;
// [Plaintext] is the option for a server that has no TLS.
func Dial(target string, s Settings, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	s, err := s.complete()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(s.TLS.Clone())),
		grpc.WithConnectParams(reconnect),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(s.MaxAnswer)),
		grpc.WithDisableRetry(),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
		grpc.WithChainUnaryInterceptor(s.unary),
		grpc.WithChainStreamInterceptor(s.stream),
	}, options...)...)
}

// Plaintext is the option of [Dial] for a server without TLS.
func Plaintext() grpc.DialOption { return grpc.WithTransportCredentials(insecure.NewCredentials()) }

// Idempotent marks a call that may be made more than once.
func Idempotent() grpc.CallOption { return idempotent{} }

type idempotent struct{ grpc.EmptyCallOption }

func (s Settings) unary(ctx context.Context, method string, question, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	ctx, leave, err := s.join(ctx, method)
	if err != nil {
		return s.refused(err)
	}
	defer leave()
	ctx, release := s.begin(ctx, time.Now().Add(s.Call.Timeout))
	defer release()
	var last error
	err = s.attempts(mayRepeat(method, options)).Do(ctx, func(ctx context.Context) error {
		count(ctx)
		last = invoke(ctx, method, question, reply, cc, options...)
		return judged(last)
	})
	return failed(err, last)
}

func (s Settings) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, leave, err := s.join(ctx, method)
	if err != nil {
		return nil, s.refused(err)
	}
	ctx, release := s.begin(ctx, time.Now().Add(s.Call.Timeout))
	end := sync.OnceFunc(func() { release(); leave() })
	if err := budget.Admit(ctx); err != nil {
		defer end()
		return nil, s.ended(ctx, err)
	}
	count(ctx)
	under, err := open(ctx, desc, cc, method, options...)
	if err != nil {
		defer end()
		return nil, s.ended(ctx, err)
	}
	context.AfterFunc(ctx, end) // the reader may never come back
	return &stream{ClientStream: under, settings: s, ctx: ctx, end: end, single: !desc.ServerStreams}, nil
}

func (s *Settings) join(ctx context.Context, method string) (context.Context, context.CancelFunc, error) {
	if level(method) == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
		return free(ctx)
	}
	return s.Join(ctx)
}

// refused is the error of a call that was not made.
func (s *Settings) refused(why error) error {
	return &failure{named(s.Call.Name, why), status.New(codes.Canceled, why.Error())}
}

// ended is the error of a call under ctx that is over.
func (s *Settings) ended(ctx context.Context, err error) error {
	return failed(named(s.Call.Name, cause.Classify(ctx, judged(err)).Err), err)
}

// stream is a stream whose budget is released when it is over.
type stream struct {
	grpc.ClientStream
	settings Settings
	ctx      context.Context
	end      func()
	single   bool // the server sends one message
}

// RecvMsg implements grpc.ClientStream.
func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil && !s.single {
		return nil
	}
	defer s.end()
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return s.settings.ended(s.ctx, err)
}

// level is what the .proto says of repeating a method, given as /service/method.
func level(method string) descriptorpb.MethodOptions_IdempotencyLevel {
	name := protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", "."))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
	}
	o, _ := d.Options().(*descriptorpb.MethodOptions)
	return o.GetIdempotencyLevel()
}

func mayRepeat(method string, options []grpc.CallOption) bool {
	for _, o := range options {
		if _, ok := o.(idempotent); ok {
			return true
		}
	}
	return level(method) != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}

// judged makes of a status error one that matches the standard sentinel, and is
// transient if the server says so.
func judged(err error) error {
	if err == nil {
		return nil
	}
	st := status.Convert(err)
	err = &failure{err, st}
	wait, asked := retryInfo(st)
	if st.Code() == codes.Unavailable || st.Code() == codes.ResourceExhausted && asked {
		return budget.TransientAfter(err, wait)
	}
	return err
}

// retryInfo is how long the server asks to be left alone, if it does.
func retryInfo(st *status.Status) (time.Duration, bool) {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(info.GetRetryDelay().AsDuration(), 0), true
		}
	}
	return 0, false
}

// failed gives err, which tells why a call failed, the status of its last attempt,
// or where there was none that of the context.
func failed(err, last error) error {
	if err == nil {
		return nil
	}
	st := status.Convert(last)
	if st.Code() == codes.OK {
		st = status.FromContextError(err)
	}
	return &failure{err, st}
}

// failure is why a call failed, with the status that gRPC's users ask for.
type failure struct {
	error
	status *status.Status
}

func (f *failure) Unwrap() error              { return f.error }
func (f *failure) GRPCStatus() *status.Status { return f.status }

// Is matches the sentinel that the status, which has no Go error in it, stands for.
func (f *failure) Is(target error) bool {
	switch f.status.Code() {
	case codes.DeadlineExceeded:
		return target == context.DeadlineExceeded
	case codes.Canceled:
		return target == context.Canceled
	}
	return false
}
