package httpx

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        time.Duration
		wrong       string // part of the error, empty if there is none
	}{
		{GRPCTimeout, "2S", 2 * time.Second, ""},
		{GRPCTimeout, "99999999n", 99999999 * time.Nanosecond, ""},
		{GRPCTimeout, "0m", 0, ""},
		{GRPCTimeout, "3u", 3 * time.Microsecond, ""},
		{GRPCTimeout, "4M", 4 * time.Minute, ""},
		{GRPCTimeout, "99999999H", longest, ""},
		{EnvoyTimeout, "1500", 1500 * time.Millisecond, ""},
		{GRPCTimeout, "", 0, "is empty"},
		{GRPCTimeout, "S", 0, "digits"},
		{GRPCTimeout, "5", 0, "unit"},
		{GRPCTimeout, "1s", 0, "unit"},
		{GRPCTimeout, "123456789S", 0, "digits"},
		{GRPCTimeout, "-1S", 0, "digits"},
		{GRPCTimeout, "+1S", 0, "digits"},
		{EnvoyTimeout, "1.5", 0, "digits"},
		{EnvoyTimeout, "0x10", 0, "digits"},
		{EnvoyTimeout, "123456789", 0, "digits"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set(c.name, c.value)
		found, err := Headers(r)
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), c.name) {
				t.Errorf("%s %q: error %v, want one that names the header and says %q", c.name, c.value, err, c.wrong)
			}
		case err != nil:
			t.Errorf("%s %q: %v", c.name, c.value, err)
		case len(found) != 1 || found[0] != (Announcement{c.name, c.want}):
			t.Errorf("%s %q: %v, want %s", c.name, c.value, found, c.want)
		}
	}
}

func TestEveryAnnouncementIsRead(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if found, err := Headers(r); err != nil || found != nil {
		t.Errorf("without headers: %v (%v)", found, err)
	}
	r.Header.Add(GRPCTimeout, "3S")
	r.Header.Add(GRPCTimeout, "2S")
	r.Header.Set(EnvoyTimeout, "1000")
	found, err := Headers(r)
	if err != nil || len(found) != 3 || found[1].Wait != 2*time.Second || found[2].Wait != time.Second {
		t.Errorf("%v (%v), want all three", found, err)
	}
}

func FuzzHeaders(f *testing.F) {
	for _, value := range []string{"", "1S", "99999999H", "00000000n", "18446744073709551615m", "1\x00S", "٣S"} {
		f.Add(value, value)
	}
	f.Fuzz(func(t *testing.T, grpc, envoy string) {
		r := &http.Request{Header: http.Header{}}
		r.Header.Set(GRPCTimeout, grpc)
		r.Header.Set(EnvoyTimeout, envoy)
		found, err := Headers(r)
		if (err == nil) != (len(found) == 2) {
			t.Fatalf("%q, %q: %v and %v", grpc, envoy, found, err)
		}
		for _, a := range found {
			if a.Wait < 0 || a.Wait > longest {
				t.Errorf("%s %q, %q: %s", a.Name, grpc, envoy, a.Wait)
			}
		}
	})
}
