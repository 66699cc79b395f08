package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// bounded is a handler with three seconds.
func bounded(next http.HandlerFunc) *Handler {
	return &Handler{
		Next:      next,
		Deadlines: Deadlines{Max: 3 * time.Second, Source: "the test"},
		MaxBody:   10,
		Fail: func(w http.ResponseWriter, _ *http.Request, f *Failure) {
			w.WriteHeader(f.Code)
			_, _ = io.WriteString(w, f.Error())
		},
	}
}

// ask sends one request through h and returns the answer and how long it took.
func ask(ctx context.Context, h *Handler, body string) (*httptest.ResponseRecorder, time.Duration) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
	w := httptest.NewRecorder()
	begin := time.Now()
	h.ServeHTTP(w, r)
	return w, time.Since(begin)
}

func expect(t *testing.T, w *httptest.ResponseRecorder, code int, texts ...string) {
	t.Helper()
	if w.Code != code {
		t.Errorf("status %d, want %d: %s", w.Code, code, w.Body)
	}
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("answer %q does not contain %q", w.Body, text)
		}
	}
}

func TestAnAnswerInTimeIsSentAsItIs(t *testing.T) {
	w, _ := ask(t.Context(), bounded(func(w http.ResponseWriter, r *http.Request) {
		if deadline, ok := r.Context().Deadline(); !ok || time.Until(deadline) > 3*time.Second {
			t.Errorf("deadline %s (%t)", deadline, ok)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Own", "kept")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "lost")
		_, _ = fmt.Fprintf(w, "got %s", body)
	}), "text")
	expect(t, w, http.StatusTeapot, "got text")
	if w.Header().Get("X-Own") != "kept" || w.Header().Get("X-Late") != "" || w.Header().Get("Content-Length") != "8" {
		t.Errorf("header %v", w.Header())
	}
}

func TestAnAnswerThatIsLateIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, took := ask(t.Context(), bounded(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			if !errors.Is(context.Cause(r.Context()), RequestDeadline) {
				t.Errorf("cause %v", context.Cause(r.Context()))
			}
			_, _ = io.WriteString(w, "allowed") // as one does that swallows the error
		}), "")
		expect(t, w, http.StatusGatewayTimeout, "time to answer used up: 3s (the test)")
		if strings.Contains(w.Body.String(), "allowed") || took != 3*time.Second {
			t.Errorf("after %s: %s", took, w.Body)
		}
	})
}

func TestADeafHandlerIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, took := ask(t.Context(), bounded(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Minute)
			_, _ = io.WriteString(w, "done")
		}), "")
		expect(t, w, http.StatusGatewayTimeout, "time to answer used up")
		if took != 3*time.Second+patience {
			t.Errorf("answered after %s", took)
		}
		time.Sleep(time.Minute)
	})
}

func TestACallerThatGoesAwayCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		w, took := ask(caller, bounded(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			if !errors.Is(context.Cause(r.Context()), cause.ClientGone) {
				t.Errorf("cause %v", context.Cause(r.Context()))
			}
		}), "")
		expect(t, w, StatusClientClosedRequest)
		if took != time.Second {
			t.Errorf("answered after %s", took)
		}
	})
}

func TestTheEndOfTheServerHasItsCause(t *testing.T) {
	base, cut := context.WithCancelCause(t.Context())
	w, _ := ask(base, bounded(func(_ http.ResponseWriter, r *http.Request) {
		cut(cause.ShutdownEnded)
		<-r.Context().Done()
	}), "")
	expect(t, w, http.StatusServiceUnavailable, cause.ShutdownEnded.Error())
}

func TestTheContextHasTheParentsValues(t *testing.T) {
	type key struct{}
	w, _ := ask(context.WithValue(t.Context(), key{}, "kept"), bounded(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Context().Value(key{}))
	}), "")
	expect(t, w, http.StatusOK, "kept")
}

func TestAPanicIsAFailureOfOneRequest(t *testing.T) {
	w, _ := ask(t.Context(), bounded(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of it")
		panic("secret")
	}), "")
	expect(t, w, http.StatusInternalServerError, "internal fault")
	if text := w.Body.String(); strings.Contains(text, "secret") || strings.Contains(text, "half") {
		t.Errorf("answer %q", text)
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v, want http.ErrAbortHandler", v)
		}
	}()
	ask(t.Context(), bounded(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "")
}

func TestAbandonTakesTheHandlersPlace(t *testing.T) {
	w, _ := ask(t.Context(), bounded(func(w http.ResponseWriter, r *http.Request) {
		Abandon(r.Context(), &Failure{Code: http.StatusServiceUnavailable, Err: errors.New("the bank is closed")})
		Abandon(r.Context(), &Failure{Code: http.StatusTeapot, Err: errors.New("second")})
		_, _ = io.WriteString(w, "denied")
	}), "")
	expect(t, w, http.StatusServiceUnavailable, "the bank is closed")
	Abandon(t.Context(), &Failure{}) // outside of a Handler
}

func TestBodiesAreBounded(t *testing.T) {
	h := bounded(func(http.ResponseWriter, *http.Request) { t.Error("called") })
	w, _ := ask(t.Context(), h, "eleven bytes")
	expect(t, w, http.StatusRequestEntityTooLarge, "10 bytes")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.MultiReader(strings.NewReader("eleven bytes")))
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	expect(t, w, http.StatusRequestEntityTooLarge, "10 bytes")
}

// A body that trickles in, on a connection as it is.
func TestABodyMustArriveInTime(t *testing.T) {
	defer goleak.VerifyNone(t)
	h := bounded(func(http.ResponseWriter, *http.Request) { t.Error("called") })
	h.Deadlines.Max = 50 * time.Millisecond
	server := httptest.NewServer(h)
	defer server.Close()
	body, sender := io.Pipe()
	defer sender.Close()
	go func() { _, _ = sender.Write([]byte("one")) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	client.Timeout = 10 * time.Second
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("status %d, want 408", response.StatusCode)
	}
	client.CloseIdleConnections()
}

// What is not wanted of a body is not waited for: whoever sends it slowly, or
// never, does not keep the connection.
func TestTheRestOfABodyIsNotWaitedFor(t *testing.T) {
	for what, h := range map[string]*Handler{
		"too large": bounded(func(http.ResponseWriter, *http.Request) { t.Error("called") }),
		"not understood": {
			Deadlines: Deadlines{Announced: func(*http.Request) ([]Announcement, error) { return nil, errors.New("what?") }},
			Fail:      Problem,
		},
		"not admitted": {Admit: func(*http.Request) *Failure { return &Failure{Code: http.StatusForbidden, Err: errors.New("no")} }, Deadlines: Deadlines{Max: time.Minute}, Fail: Problem},
	} {
		server := httptest.NewServer(h)
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(connection, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\neleven bytes"); err != nil {
			t.Fatal(err)
		}
		if err := connection.SetReadDeadline(time.Now().Add(20 * linger)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(connection); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
			t.Errorf("%s: the connection stays open: %v, %s", what, err, answer)
		}
		_ = connection.Close()
		server.Close()
	}
}

func TestARequestIsAdmittedBeforeItsBodyIsRead(t *testing.T) {
	h := bounded(func(http.ResponseWriter, *http.Request) { t.Error("called") })
	h.Admit = func(r *http.Request) *Failure {
		if _, ok := r.Context().Deadline(); !ok {
			t.Error("without a deadline")
		}
		return &Failure{Code: http.StatusForbidden, Err: errors.New("not you")}
	}
	w, _ := ask(t.Context(), h, "eleven bytes")
	expect(t, w, http.StatusForbidden, "not you")

	h = bounded(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	h.Admit = func(*http.Request) *Failure { return nil }
	w, _ = ask(t.Context(), h, "text")
	expect(t, w, http.StatusTeapot)
}

func TestAnAdmissionThatIsLateIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := bounded(func(http.ResponseWriter, *http.Request) { t.Error("called") })
		h.Admit = func(r *http.Request) *Failure {
			<-r.Context().Done()
			return &Failure{Code: http.StatusForbidden, Err: errors.New("not you")}
		}
		w, took := ask(t.Context(), h, "")
		expect(t, w, http.StatusGatewayTimeout, "3s (the test)")
		if took != 3*time.Second {
			t.Errorf("answered after %s", took)
		}
	})
}

func TestProblem(t *testing.T) {
	for _, c := range []struct {
		failure    *Failure
		text, wait string
	}{
		{&Failure{Code: 404, Err: errors.New(`no "w"`)}, `{"title":"Not Found","status":404,"detail":"no \"w\""}`, ""},
		{&Failure{Code: 504, Err: RequestDeadline.With("1s (x)")}, `{"title":"Gateway Timeout","status":504,"detail":"time to answer used up: 1s (x)","cause":"request_deadline"}`, ""},
		{&Failure{Code: 503, Err: errors.New("later"), RetryAfter: 1200 * time.Millisecond}, `{"title":"Service Unavailable","status":503,"detail":"later"}`, "2"},
	} {
		w := httptest.NewRecorder()
		Problem(w, nil, c.failure)
		if w.Code != c.failure.Code || w.Body.String() != c.text+"\n" || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Retry-After") != c.wait {
			t.Errorf("%d %v %s, want %s", w.Code, w.Header(), w.Body, c.text)
		}
	}
}

func TestUnanswered(t *testing.T) {
	ended, end := context.WithCancelCause(t.Context())
	end(cause.ClientGone)
	for _, c := range []struct {
		what string
		ctx  context.Context
		err  error
		code int // 0: no failure
	}{
		{"a success", t.Context(), nil, 0},
		{"a verdict", t.Context(), errors.New("too many"), 0},
		{"a deadline", t.Context(), fmt.Errorf("get: %w", context.DeadlineExceeded), http.StatusGatewayTimeout},
		{"a cancellation", t.Context(), context.Canceled, http.StatusServiceUnavailable},
		{"anything after the end", ended, errors.New("too many"), http.StatusServiceUnavailable},
	} {
		f := Unanswered(c.ctx, c.err)
		if f != nil && (f.Code == http.StatusServiceUnavailable) != (f.RetryAfter > 0) {
			t.Errorf("%s: to be tried again after %s", c.what, f.RetryAfter)
		}
		if f == nil != (c.code == 0) || f != nil && (f.Code != c.code || !errors.Is(f, c.err)) {
			t.Errorf("%s: %v", c.what, f)
		}
	}
}
