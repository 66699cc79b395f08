package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/certs"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/httpx"
)

// running is a Server that serves, and a caller that trusts it.
type running struct {
	*Server
	caller *http.Client
	stop   context.CancelFunc
	done   <-chan error
}

// run starts a server at which hooks are registered by path.
func run(t *testing.T, s Settings, hooks map[string]http.Handler) running {
	t.Helper()
	s.BindAddress, s.CertDir, s.SelfSigned = "127.0.0.1:0", t.TempDir(), "127.0.0.1"
	s, err := s.Complete()
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(s)
	for path, hook := range hooks {
		server.Register(path, hook)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Start(ctx) }()
	t.Cleanup(stop)
	for server.Ready(nil) != nil {
		select {
		case err := <-done:
			t.Fatalf("Start() = %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	text, err := os.ReadFile(filepath.Join(s.CertDir, certs.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: s.HTTP2}
	t.Cleanup(transport.CloseIdleConnections)
	return running{server, &http.Client{Transport: transport}, stop, done}
}

// reply is what a caller sees.
type reply struct {
	code  int
	http2 bool
	close bool // the connection is not kept
	text  string
}

func (r running) post(ctx context.Context, t *testing.T, path string) (reply, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+r.Addr()+path, bytes.NewReader([]byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	response, err := r.caller.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.ProtoMajor == 2, response.Close, string(text)}, err
}

// deadline answers with the time that is left, in tenths of a second.
var deadline = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	at, _ := r.Context().Deadline()
	_, _ = fmt.Fprint(w, time.Until(at).Round(100*time.Millisecond))
})

func TestWhatIsRegisteredHasTheAnnouncedTimeLessAMargin(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		r := run(t, Settings{HTTP2: http2, MaxTimeout: 20 * time.Second, ConversionTimeout: 4 * time.Second},
			map[string]http.Handler{"/validate": deadline, ConversionPath: deadline})
		for path, want := range map[string]string{
			"/validate":                  "20s",
			"/validate?timeout=1s":       "500ms",
			"/validate?timeout=10s":      "9s",
			"/validate?timeout=30s":      "20s",
			ConversionPath:               "4s",
			ConversionPath + "?timeout=": "4s",
		} {
			got, err := r.post(t.Context(), t, path)
			if err != nil || got.text != want || got.http2 != http2 {
				t.Errorf("%s: %+v (%v), want %s", path, got, err, want)
			}
		}
		if got, err := r.post(t.Context(), t, "/validate?timeout=soon"); err != nil || got.code != http.StatusBadRequest {
			t.Errorf("an unreadable timeout: %+v (%v)", got, err)
		}
		if !r.Converts() {
			t.Error("Converts() = false")
		}
	}
}

func TestTimeUsedUpIsAStatusThatNamesTheBudget(t *testing.T) {
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	deaf := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(300 * time.Millisecond) })
	r := run(t, Settings{ConversionTimeout: 20 * time.Millisecond}, map[string]http.Handler{"/validate": hang, ConversionPath: deaf})
	for path, want := range map[string]string{
		"/validate?timeout=40ms": "time to answer used up: 20ms (timeout 40ms less 20ms)",
		ConversionPath:           "time to answer used up: 20ms (conversion, --webhook-conversion-timeout)",
	} {
		got, err := r.post(t.Context(), t, path)
		if err != nil {
			t.Fatal(err)
		}
		var status metav1.Status
		if err := json.Unmarshal([]byte(got.text), &status); err != nil {
			t.Fatalf("%s: %v in %s", path, err, got.text)
		}
		if got.code != http.StatusGatewayTimeout || status.Kind != "Status" || status.Code != http.StatusGatewayTimeout ||
			status.Message != want || string(status.Reason) != httpx.RequestDeadline.Reason() {
			t.Errorf("%s: %s", path, got.text)
		}
	}
}

func TestACallerThatHangsUpCancels(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		begun, why := make(chan struct{}), make(chan error, 1)
		r := run(t, Settings{HTTP2: http2}, map[string]http.Handler{"/validate": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			why <- context.Cause(r.Context())
		})})
		ctx, hangUp := context.WithCancel(t.Context())
		go func() { <-begun; hangUp() }()
		if _, err := r.post(ctx, t, "/validate"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if err := <-why; !errors.Is(err, cause.ClientGone) {
			t.Errorf("HTTP/2 %t: cause %v", http2, err)
		}
	}
}

func TestWhatWasBegunIsAnsweredAtTheEnd(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	begun, finish := make(chan struct{}), make(chan struct{})
	r := run(t, Settings{}, map[string]http.Handler{"/validate": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		_, _ = fmt.Fprint(w, r.Context().Err())
	})})
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		reply, err := r.post(t.Context(), t, "/validate")
		got <- answer{reply.text, err}
	}()
	<-begun
	r.stop()
	for { // until it listens no more, so that it has begun to end
		connection, err := net.DialTimeout("tcp", r.Addr(), time.Second)
		if err != nil {
			break
		}
		connection.Close()
	}
	close(finish)
	if a := <-got; a.err != nil || a.text != "<nil>" {
		t.Errorf("answer %q (%v)", a.text, a.err)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.caller.CloseIdleConnections()
}

func TestLeavingIsTold(t *testing.T) {
	r := run(t, Settings{}, map[string]http.Handler{"/validate": deadline})
	r.Leave()
	got, err := r.post(t.Context(), t, "/validate")
	if err != nil || !got.close {
		t.Errorf("the connection is kept (%v)", err)
	}
}

// A certificate that is replaced as kubelet and cert-manager do it.
func TestCertificateFilesMayBeReplaced(t *testing.T) {
	folder := t.TempDir()
	s, err := Settings{BindAddress: "127.0.0.1:0", CertDir: folder}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(s)
	server.Register("/validate", deadline)
	if err := server.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "--webhook-cert-dir") || !strings.Contains(err.Error(), "must hold tls.crt and tls.key") {
		t.Errorf("without files: Start() = %v", err)
	}
	first := place(t, folder)
	server = NewServer(s)
	server.Register("/validate", deadline)
	go func() { _ = server.Start(t.Context()) }()
	serial := func() string {
		connection, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", server.Addr())
		if err != nil {
			return ""
		}
		defer connection.Close()
		return connection.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	await(t, "the first certificate", func() bool { return serial() == first })
	second := place(t, folder)
	await(t, "the second certificate", func() bool { return serial() == second })
}

// place puts a certificate into folder and returns its serial number.
func place(t *testing.T, folder string) string {
	t.Helper()
	own, err := certs.NewSelfSigned(t.TempDir(), []string{"127.0.0.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := own.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := encode(pair)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"tls.key": key, "tls.crt": certificate} {
		next := filepath.Join(folder, "next")
		if err := errors.Join(os.WriteFile(next, text, 0o600), os.Rename(next, filepath.Join(folder, name))); err != nil {
			t.Fatal(err)
		}
	}
	return pair.Leaf.SerialNumber.String()
}

func encode(pair *tls.Certificate) (certificate, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestWithoutAnAddressNothingIsServed(t *testing.T) {
	s, err := Settings{}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(s)
	server.Register(ConversionPath, deadline)
	if server.Converts() || server.Ready(nil) != nil {
		t.Error("readiness waits for what is not served")
	}
	if err := server.Start(t.Context()); err != nil || server.Addr() != "" {
		t.Errorf("Start() = %v at %q", err, server.Addr())
	}
}

func TestReadinessWaitsForTheServer(t *testing.T) {
	s, err := Settings{BindAddress: "127.0.0.1:0"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(s)
	if err := server.StartedChecker()(nil); err != nil {
		t.Errorf("with nothing registered: %v", err)
	}
	server.Register("/validate", deadline)
	if err := server.StartedChecker()(nil); err == nil {
		t.Error("ready before it serves")
	}
	if server.Converts() {
		t.Error("Converts() without a conversion")
	}
}

func TestAnAddressThatIsTakenIsNamed(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s, err := Settings{BindAddress: listener.Addr().String(), CertDir: t.TempDir(), SelfSigned: "localhost"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if err := NewServer(s).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "--webhook-bind-address") {
		t.Errorf("Start() = %v", err)
	}
}
