package httpx

import (
	"fmt"
	"net/http"
	"time"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

// RequestDeadline is the cause of a context whose request's time is used up.
var RequestDeadline = cause.Deadline("request_deadline", "time to answer used up")

// Limit is the time there is to answer a request.
type Limit struct {
	// Time may be 0 or less: then nothing is left.
	Time time.Duration
	// Why says, for people, where the limit comes from.
	Why string
}

// cause is what ends the context of a request with this limit.
func (l Limit) cause() *cause.Cause {
	return RequestDeadline.With(fmt.Sprintf("%s (%s)", l.Time, l.Why))
}

// Announcement is how long somebody on the way says that the caller waits.
type Announcement struct {
	// Name is that of the header or parameter.
	Name string
	// Wait is the time from now.
	Wait time.Duration
}

// Margin is the part of an announced time that is kept for the way back.
type Margin struct {
	// Least is the smallest margin.
	Least time.Duration
	// Share of the announced time, from 0 to 1, is kept if that is more.
	Share float64
}

// of returns the margin of wait, at most half of it.
func (m Margin) of(wait time.Duration) time.Duration {
	return min(max(m.Least, time.Duration(m.Share*float64(wait))), max(wait, 0)/2)
}

// Deadlines says how long the answers to requests may take.
type Deadlines struct {
	// Max is the most there is, and what there is where nothing is announced.
	Max time.Duration
	// Source says where Max is set, for people.
	Source string
	// Margin is taken off every announcement.
	Margin Margin
	// Announced finds the announcements in a request; nil means there are none.
	// Its error says what is wrong with the request.
	Announced func(*http.Request) ([]Announcement, error)
}

// Of returns the limit of a request: the least of Max and what is announced.
func (d Deadlines) Of(r *http.Request) (Limit, error) {
	limit := Limit{Time: d.Max, Why: d.Source}
	if d.Announced == nil {
		return limit, nil
	}
	announcements, err := d.Announced(r)
	if err != nil {
		return Limit{}, err
	}
	for _, a := range announcements {
		margin := d.Margin.of(a.Wait)
		if left := a.Wait - margin; left < limit.Time {
			limit = Limit{Time: left, Why: fmt.Sprintf("%s %s less %s", a.Name, a.Wait, margin)}
		}
	}
	return limit, nil
}
