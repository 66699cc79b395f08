package outbound

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/budget"
)

func TestOnlyPublicAddressesAreReached(t *testing.T) {
	s := &Settings{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}}
	for address, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "::ffff:93.184.216.34": true,
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "fd00:1::2": true,
		"127.0.0.1": false, "127.8.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:7f00:1": false,
		"10.2.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "fd00:2::1": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "fd00:ec2::254": false,
		"0.0.0.0": false, "0.1.2.3": false, "::": false, "::7f00:1": false, "100.64.0.1": false, "100.100.100.200": false,
		"192.0.0.192": false, "198.18.0.1": false, "224.0.0.1": false, "ff02::1": false, "240.0.0.1": false, "255.255.255.255": false,
		"64:ff9b::a9fe:a9fe": false, "2002:7f00:1::": false, "fec0::1": false,
	} {
		if got := s.reaches(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: reached %t, want %t", address, got, want)
		}
	}
}

// A name is judged by what it is resolved to when the connection is made.
func TestWhatIsNotPublicIsNotConnectedTo(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	for _, host := range []string{"127.0.0.1", "localhost"} {
		for _, allowed := range []bool{false, true} {
			s := bank
			if !allowed {
				s.Networks = nil
			}
			asked = 0
			client := client(t, s)
			ctx, attempts := Counting(t.Context())
			r := request(ctx, t, http.MethodGet, nil)
			r.URL.Host = host + ":" + port
			response, err := client.Do(r)
			if err == nil {
				response.Body.Close()
			}
			client.CloseIdleConnections()
			if errors.Is(err, ErrNotAllowed) == allowed || asked > 0 != allowed || attempts.Load() != 1 || budget.Retryable(err) {
				t.Errorf("%s, allowed: %t: asked %d times in %d attempts, error %v", host, allowed, asked, attempts.Load(), err)
			}
		}
	}
}

func TestOnlyTheHostsThatAreListedAreCalled(t *testing.T) {
	s := bank
	s.Hosts = []string{"bank.example"}
	for host, want := range map[string]bool{
		"bank.example": true, "BANK.example:8443": true, "bank.example.": true,
		"evil.bank.example": false, "bank.example.evil": false, "bank": false, "127.0.0.1": false, "": false,
	} {
		asked := false
		s.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			asked = true
			return httptest.NewRecorder().Result(), nil
		})
		r := request(t.Context(), t, http.MethodGet, nil)
		r.URL.Host = host
		response, err := client(t, s).Do(r)
		if err == nil {
			response.Body.Close()
		}
		if asked != want {
			t.Errorf("%q: called %t, want %t: %v", host, asked, want, err)
		}
	}
}

func TestRedirectsAreFollowedIfAllowedAndToTheSamePlaceOnly(t *testing.T) {
	for what, test := range map[string]struct {
		redirects int
		to        string
		asked     int
		code      int
	}{
		"not allowed":       {0, "/there", 1, http.StatusTemporaryRedirect},
		"allowed":           {1, "/there", 2, http.StatusOK},
		"more than allowed": {2, "/again", 3, http.StatusTemporaryRedirect},
		"to another host":   {9, "http://elsewhere/there", 1, http.StatusTemporaryRedirect},
		"to a subdomain":    {9, "http://a.bank/there", 1, http.StatusTemporaryRedirect},
		"to another port":   {9, "http://bank:8080/there", 1, http.StatusTemporaryRedirect},
		"to another scheme": {9, "https://bank/there", 1, http.StatusTemporaryRedirect},
	} {
		s := bank
		s.Redirects = test.redirects
		asked := 0
		s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			asked++
			w := httptest.NewRecorder()
			if r.URL.Path != "/there" {
				w.Header().Set("Location", test.to)
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
			return w.Result(), nil
		})
		r := request(t.Context(), t, http.MethodPost, strings.NewReader("{}"))
		r.Header.Set("X-Api-Key", "secret")
		response, err := client(t, s).Do(r)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		response.Body.Close()
		if asked != test.asked || response.StatusCode != test.code {
			t.Errorf("%s: asked %d times, want %d; answer %s", what, asked, test.asked, response.Status)
		}
	}
}

func TestNetworksAreRead(t *testing.T) {
	got, err := ParseNetworks(" 10.0.0.0/8, fd00::/8 ,")
	if err != nil || len(got) != 2 || got[1] != netip.MustParsePrefix("fd00::/8") {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseNetworks(""); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseNetworks("10.0.0.1"); err == nil || !strings.Contains(err.Error(), `"10.0.0.1" is no network, such as 10.0.0.0/8`) {
		t.Errorf("%v", err)
	}
}
