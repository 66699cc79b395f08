package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

func TestWhatIsSafeIsRepeated(t *testing.T) {
	key := func(r *http.Request) { r.Header.Set("Idempotency-Key", "1") }
	once := func(r *http.Request) { r.GetBody = nil }
	none := func(*http.Request) {}
	cases := map[string]struct {
		method, body string
		change       func(*http.Request)
		attempts     int32
	}{
		"GET":                           {http.MethodGet, "", none, 3},
		"HEAD":                          {http.MethodHead, "", none, 3},
		"PUT":                           {http.MethodPut, "x", none, 3},
		"DELETE":                        {http.MethodDelete, "", none, 3},
		"POST":                          {http.MethodPost, "x", none, 1},
		"PATCH":                         {http.MethodPatch, "x", none, 1},
		"POST with a key":               {http.MethodPost, "x", key, 3},
		"PUT of what can be sent once":  {http.MethodPut, "x", once, 1},
		"POST with a key, of the same":  {http.MethodPost, "x", func(r *http.Request) { key(r); once(r) }, 1},
		"GET of what can be sent again": {http.MethodGet, "x", none, 3},
	}
	faults := map[string]http.HandlerFunc{
		"busy":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"silent": silent,
		"broken": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	}
	for fault, fail := range faults {
		for name, c := range cases {
			if fault == "cut short" && c.method == http.MethodHead {
				continue // has nothing to cut
			}
			t.Run(fault+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					asked := 0
					client := inMemory(t, bank, func(w http.ResponseWriter, r *http.Request) {
						if body, _ := io.ReadAll(r.Body); string(body) != c.body {
							t.Errorf("the body is %q", body)
						}
						if asked++; asked < 3 {
							fail(w, r)
							return
						}
						_, _ = w.Write([]byte("done"))
					})
					ctx, attempts := Counting(t.Context())
					r := request(ctx, t, c.method, strings.NewReader(c.body))
					c.change(r)
					response, err := client.Do(r)
					if err == nil {
						response.Body.Close()
					}
					if got := attempts.Load(); got != c.attempts {
						t.Errorf("%d attempts, want %d", got, c.attempts)
					}
					if ok := err == nil && response.StatusCode == http.StatusOK; ok != (c.attempts == 3) {
						t.Errorf("answer %v, error %v", response, err)
					}
				})
			})
		}
	}
}

func TestOnlyWhatCanPassIsRepeated(t *testing.T) {
	for code, attempts := range map[int]int32{
		http.StatusOK: 1, http.StatusNotFound: 1, http.StatusConflict: 1, http.StatusInternalServerError: 1, http.StatusNotImplemented: 1,
		http.StatusTooManyRequests: 4, http.StatusBadGateway: 4, http.StatusServiceUnavailable: 4, http.StatusGatewayTimeout: 4,
	} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := inMemory(t, bank, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(code)
					_, _ = w.Write([]byte("why"))
				})
				ctx, got := Counting(t.Context())
				response, err := client.Do(request(ctx, t, http.MethodGet, nil))
				if err != nil {
					t.Fatalf("the last answer is lost: %v", err)
				}
				defer response.Body.Close()
				if body, err := io.ReadAll(response.Body); response.StatusCode != code || string(body) != "why" || err != nil {
					t.Errorf("answer %d %q, error %v", response.StatusCode, body, err)
				}
				if got.Load() != attempts {
					t.Errorf("%d attempts, want %d", got.Load(), attempts)
				}
			})
		})
	}
}

func TestTheServersWishIsHonoured(t *testing.T) {
	for name, test := range map[string]struct {
		wish     func() string
		attempts int32
		least    time.Duration
	}{
		"seconds":          {func() string { return "3" }, 2, 3 * time.Second},
		"a date":           {func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) }, 2, 3 * time.Second},
		"nonsense":         {func() string { return "soon" }, 2, 0},
		"the past":         {func() string { return time.Unix(0, 0).UTC().Format(http.TimeFormat) }, 2, 0},
		"beyond the time":  {func() string { return "10" }, 1, 0},
		"beyond all times": {func() string { return "99999999999999999999" }, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				client := inMemory(t, bank, func(w http.ResponseWriter, _ *http.Request) {
					if asked++; asked == 1 {
						w.Header().Set("Retry-After", test.wish())
						w.WriteHeader(http.StatusTooManyRequests)
					}
				})
				ctx, attempts := Counting(t.Context())
				begun := time.Now()
				response, err := client.Do(request(ctx, t, http.MethodGet, nil))
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if took := time.Since(begun); attempts.Load() != test.attempts || took < test.least || took > test.least+time.Second {
					t.Errorf("%d attempts in %s", attempts.Load(), took)
				}
			})
		})
	}
}

// mine is a cause of the caller's own.
var mine = cause.Cancel("changed_my_mind", "changed my mind")

func TestErrorsKeepTheCause(t *testing.T) {
	half := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	short := bank
	short.Call.Timeout, short.Call.Attempt = 50*time.Millisecond, 50*time.Millisecond
	hasty := bank
	hasty.Call.Attempt, hasty.Call.Backoff = 50*time.Millisecond, budget.Backoff{}
	cases := map[string]struct {
		settings Settings
		ctx      func(context.Context) (context.Context, context.CancelFunc)
		want     *cause.Cause
	}{
		"the call's time":    {short, context.WithCancel, cause.OperationDeadline},
		"the attempt's time": {hasty, context.WithCancel, cause.AttemptDeadline},
		"the caller's time": {bank, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, 50*time.Millisecond, cause.ReconcileDeadline)
		}, cause.ReconcileDeadline},
		"the caller's decision": {bank, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(50*time.Millisecond, func() { cancel(mine) })
			return ctx, func() { cancel(nil) }
		}, mine},
	}
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		for where, handler := range map[string]http.HandlerFunc{"before the answer": silent, "within the answer": half} {
			for name, c := range cases {
				t.Run(protocol+", "+where+", "+name, func(t *testing.T) {
					server := httptest.NewUnstartedServer(handler)
					server.EnableHTTP2 = http2
					server.StartTLS()
					defer server.Close()
					c.settings.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
					client := client(t, c.settings)
					defer client.CloseIdleConnections()
					ctx, cancel := c.ctx(t.Context())
					defer cancel()
					r := request(ctx, t, http.MethodGet, nil)
					r.URL.Scheme, r.URL.Host = "https", server.Listener.Addr().String()
					response, err := client.Do(r)
					if err == nil {
						response.Body.Close()
						t.Fatal("an answer")
					}
					if o := cause.Classify(t.Context(), err); o.Name != c.want.Name() || !errors.Is(err, c.want) {
						t.Errorf("outcome %s of %v, want %s", o.Name, err, c.want.Name())
					}
					if !strings.Contains(err.Error(), "bank: ") {
						t.Errorf("error %q does not say whose", err)
					}
				})
			}
		}
	}
}

func TestBothProtocolsAreSpoken(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		s := bank
		s.TLS = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS13}
		client := client(t, s)
		r := request(t.Context(), t, http.MethodGet, nil)
		r.URL.Scheme, r.URL.Host = "https", server.Listener.Addr().String()
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.ProtoMajor == 2; got != http2 {
			t.Errorf("%s, HTTP/2 offered: %t", response.Proto, http2)
		}
		client.CloseIdleConnections()
		server.Close()
	}
}

func TestTheWholeCallIsBounded(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"silence": silent,
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(1500 * time.Millisecond)
			http.Redirect(w, r, "/", http.StatusFound)
		},
		"a drip": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(100 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := bank
				s.Call.Backoff.Attempts = 1000
				s.Redirects = 1000
				begun := time.Now()
				response, err := inMemory(t, s, handler).Do(request(t.Context(), t, http.MethodGet, nil))
				if err == nil {
					response.Body.Close()
				}
				if took := time.Since(begun); took > s.Call.Timeout || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("took %s, error %v", took, err)
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestALateAnswerIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bank
		s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return httptest.NewRecorder().Result(), nil
		})
		response, err := client(t, s).Do(request(t.Context(), t, http.MethodGet, nil))
		if err == nil {
			response.Body.Close()
		}
		if !errors.Is(err, cause.AttemptDeadline) {
			t.Errorf("error %v", err)
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bank
		s.MaxAnswer = 1 << 10
		size := s.MaxAnswer
		client := inMemory(t, s, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), size)) })
		response, err := client.Do(request(t.Context(), t, http.MethodGet, nil))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); len(body) != size || err != nil {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		response.Body.Close()
		size++
		ctx, attempts := Counting(t.Context())
		response, err = client.Do(request(ctx, t, http.MethodGet, nil))
		if err == nil {
			response.Body.Close()
		}
		if !errors.Is(err, ErrTooLarge) || attempts.Load() != 1 {
			t.Errorf("error %v after %d attempts", err, attempts.Load())
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bank
		s.Connections = 3
		var now, most atomic.Int32
		client := inMemory(t, s, func(http.ResponseWriter, *http.Request) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(100 * time.Millisecond)
			now.Add(-1)
		})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				response, err := client.Do(request(t.Context(), t, http.MethodGet, nil))
				if err != nil {
					t.Error(err)
					return
				}
				response.Body.Close()
			})
		}
		all.Wait()
		if most.Load() != 3 {
			t.Errorf("%d at a time, want 3", most.Load())
		}
	})
}

// What nobody closes or reads must not hold a connection up.
func TestAForgottenAnswerHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bank
		s.Connections = 1
		client := inMemory(t, s, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
		for range 3 {
			if _, err := client.Do(request(t.Context(), t, http.MethodGet, nil)); err != nil { //nolint:bodyclose // that is the test
				t.Error(err)
			}
		}
	})
}

func TestTheTraceGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got string
		client := inMemory(t, bank, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Traceparent") })
		span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
		response, err := client.Do(request(trace.ContextWithSpanContext(t.Context(), span), t, http.MethodGet, nil))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if !strings.Contains(got, span.TraceID().String()) {
			t.Errorf("traceparent %q", got)
		}
	})
}

func TestTheTimeIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan string, 4)
		handler := func(w http.ResponseWriter, r *http.Request) {
			told <- r.Header.Get(Announcement)
			time.Sleep(1500 * time.Millisecond)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		s := bank
		s.Call.Timeout, s.Call.Backoff = 3*time.Second, budget.Backoff{Attempts: 2, Base: time.Millisecond}
		for _, s.Announce = range []bool{true, false} {
			r := request(t.Context(), t, http.MethodGet, nil)
			response, err := inMemory(t, s, handler).Do(r)
			if err == nil {
				response.Body.Close()
			}
			if r.Header.Get(Announcement) != "" {
				t.Error("the caller's request was changed")
			}
		}
		if first := <-told; first != "2000" {
			t.Errorf("the first attempt announces %q", first)
		}
		if second, _ := strconv.Atoi(<-told); second < 1400 || second > 1500 {
			t.Errorf("the second attempt announces %d of what is left", second)
		}
		if silent := <-told; silent != "" {
			t.Errorf("announced unasked: %q", silent)
		}
	})
}

func TestChangesJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var joined, left int
		term, lose := context.WithCancelCause(t.Context())
		s := bank
		s.Join = func(ctx context.Context) (context.Context, context.CancelFunc, error) {
			if err := context.Cause(term); err != nil {
				return nil, nil, err
			}
			joined++
			ctx, cancel := context.WithCancelCause(ctx)
			stop := context.AfterFunc(term, func() { cancel(context.Cause(term)) })
			return ctx, func() { left++; stop(); cancel(nil) }, nil
		}
		slow := false
		client := inMemory(t, s, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body) // or the server does not notice who hangs up
			if slow {
				<-r.Context().Done()
			}
		})
		do := func(method string) error {
			response, err := client.Do(request(t.Context(), t, method, strings.NewReader("x")))
			if err == nil {
				response.Body.Close()
			}
			return err
		}
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if err := do(method); err != nil {
				t.Error(err)
			}
		}
		if joined != 4 || left != 4 {
			t.Errorf("%d joined, %d left, want 4", joined, left)
		}
		slow = true
		time.AfterFunc(time.Second, func() { lose(cause.LeadershipLost) })
		if err := do(http.MethodPut); !errors.Is(err, cause.LeadershipLost) {
			t.Errorf("in a term that ends: %v", err)
		}
		body := &closing{Reader: strings.NewReader("x")}
		if _, err := client.Do(request(t.Context(), t, http.MethodPut, body)); !errors.Is(err, cause.LeadershipLost) || !body.closed { //nolint:bodyclose // there is none
			t.Errorf("out of a term: %v, body closed: %t", err, body.closed)
		}
		if joined != 5 || left != 5 {
			t.Errorf("%d joined, %d left, want 5", joined, left)
		}
	})
}

// spent is the meter of somebody who may make no more calls.
type spent struct{}

func (spent) Admit(context.Context) error { return errSpent }

var errSpent = errors.New("no call is left")

func TestTheBodyOfACallThatIsRefusedIsClosed(t *testing.T) {
	hosts := bank
	hosts.Hosts = []string{"other"}
	for what, test := range map[string]struct {
		settings Settings
		ctx      context.Context
		want     error
	}{
		"by the meter":         {bank, context.WithValue(t.Context(), budget.MeterKey{}, spent{}), errSpent},
		"by the list of hosts": {hosts, t.Context(), ErrNotAllowed},
	} {
		test.settings.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("was sent") })
		body := &closing{Reader: strings.NewReader("x")}
		response, err := client(t, test.settings).Do(request(test.ctx, t, http.MethodPost, body))
		if err == nil {
			response.Body.Close()
		}
		if !errors.Is(err, test.want) || !body.closed {
			t.Errorf("%s: error %v, body closed: %t", what, err, body.closed)
		}
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }
