package fence

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// readymade returns a bench with a client whose config brings its transport.
func readymade(t *testing.T, transport roundTripper) *bench {
	t.Helper()
	cfg := &rest.Config{Host: "http://api", Transport: transport}
	b := &bench{url: cfg.Host}
	fenced, err := Config(cfg, b.present)
	if err != nil {
		t.Fatal(err)
	}
	if b.client, err = rest.HTTPClientFor(fenced); err != nil {
		t.Fatal(err)
	}
	return b
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAReadyMadeTransportIsFencedToo(t *testing.T) {
	reached := 0
	b := readymade(t, func(*http.Request) (*http.Response, error) {
		reached++
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	if err := b.send(t.Context(), "POST", widgets); !errors.Is(err, errNone) || reached != 0 {
		t.Errorf("error %v, reached %d", err, reached)
	}
	b.give(newPass(t))
	if err := b.send(t.Context(), "POST", widgets); err != nil || reached != 1 {
		t.Errorf("error %v, reached %d", err, reached)
	}
}

// Its connections are not the fence's to cut.
func TestAWriteOfAReadyMadeTransportEndsWithThePermission(t *testing.T) {
	p := newPass(t)
	b := readymade(t, func(r *http.Request) (*http.Response, error) {
		p.end(errOver)
		select {
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		case <-time.After(10 * time.Second):
			t.Error("the write goes on")
			return nil, errors.ErrUnsupported
		}
	})
	b.give(p)
	if err := b.send(t.Context(), "POST", widgets); !errors.Is(err, errOver) {
		t.Errorf("error %v", err)
	}
}
