package httpx

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestTheLeastTimeCounts(t *testing.T) {
	for _, c := range []struct {
		what      string
		announced []Announcement
		want      Limit
	}{
		{"nothing announced", nil, Limit{10 * time.Second, "max"}},
		{"a short time loses half at most", []Announcement{{"a", 600 * time.Millisecond}}, Limit{300 * time.Millisecond, "a 600ms less 300ms"}},
		{"the least margin", []Announcement{{"a", 2 * time.Second}}, Limit{1500 * time.Millisecond, "a 2s less 500ms"}},
		{"a share", []Announcement{{"a", 10 * time.Second}}, Limit{9 * time.Second, "a 10s less 1s"}},
		{"more than there is", []Announcement{{"a", time.Minute}}, Limit{10 * time.Second, "max"}},
		{"the least of several", []Announcement{{"a", 8 * time.Second}, {"b", 4 * time.Second}, {"c", 6 * time.Second}}, Limit{3500 * time.Millisecond, "b 4s less 500ms"}},
		{"nothing left", []Announcement{{"a", -time.Second}}, Limit{-time.Second, "a -1s less 0s"}},
	} {
		d := Deadlines{Max: 10 * time.Second, Source: "max", Margin: Margin{Least: 500 * time.Millisecond, Share: 0.1},
			Announced: func(*http.Request) ([]Announcement, error) { return c.announced, nil }}
		got, err := d.Of(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		if err != nil || got != c.want {
			t.Errorf("%s: %v (%v), want %v", c.what, got, err, c.want)
		}
	}
}

func TestAnAnnouncementThatCannotBeReadIsRefused(t *testing.T) {
	h := bounded(func(http.ResponseWriter, *http.Request) { t.Error("called") })
	h.Deadlines.Announced = func(*http.Request) ([]Announcement, error) { return nil, errors.New("header x: no number") }
	w, _ := ask(t.Context(), h, "")
	expect(t, w, http.StatusBadRequest, "header x: no number")
}

func TestATimeThatIsOverAlready(t *testing.T) {
	h := bounded(func(_ http.ResponseWriter, r *http.Request) {
		if r.Context().Err() == nil {
			t.Error("called with a live context")
		}
	})
	h.Deadlines.Max = -time.Second
	w, _ := ask(t.Context(), h, "")
	expect(t, w, http.StatusGatewayTimeout)
}
