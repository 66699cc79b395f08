package httpx

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Headers in which the time a caller waits is announced.
const (
	// GRPCTimeout is what gRPC clients send, and proxies that know gRPC: up to
	// eight digits and a unit, one of H M S m u n.
	GRPCTimeout = "grpc-timeout"
	// EnvoyTimeout is what Envoy tells the service behind it, in milliseconds.
	EnvoyTimeout = "x-envoy-expected-rq-timeout-ms"
)

// Headers reads [GRPCTimeout] and [EnvoyTimeout]. As an announcement can only
// shorten the time there is, the headers need not be trusted.
func Headers(r *http.Request) ([]Announcement, error) {
	var found []Announcement
	for _, header := range []struct {
		name  string
		parse func(string) (time.Duration, error)
	}{{GRPCTimeout, parseGRPC}, {EnvoyTimeout, parseMilliseconds}} {
		for _, value := range r.Header.Values(header.name) {
			wait, err := header.parse(value)
			if err != nil {
				return nil, fmt.Errorf("header %s: %w", header.name, err)
			}
			found = append(found, Announcement{Name: header.name, Wait: wait})
		}
	}
	return found, nil
}

// digits bounds the digits of a timeout, as gRPC does.
const digits = 8

// longest is the longest time that is told apart: 99999999 hours are more than a
// Duration can hold, and more than anybody waits.
const longest = 365 * 24 * time.Hour

var units = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second,
	'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

func parseGRPC(value string) (time.Duration, error) {
	if value == "" {
		return 0, errors.New("is empty")
	}
	unit, ok := units[value[len(value)-1]]
	if !ok {
		return 0, fmt.Errorf("%q has no unit, one of H M S m u n", value)
	}
	n, err := parseDigits(value[:len(value)-1])
	return time.Duration(min(n, int64(longest/unit))) * unit, err
}

func parseMilliseconds(value string) (time.Duration, error) {
	n, err := parseDigits(value)
	return time.Duration(n) * time.Millisecond, err
}

func parseDigits(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || len(s) > digits {
		return 0, fmt.Errorf("%q: want 1 to %d digits", s, digits)
	}
	return int64(n), nil
}
