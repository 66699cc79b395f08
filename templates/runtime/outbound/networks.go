package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// ErrNotAllowed is why a call was not made: its host is not in Settings.Hosts, or has an
// address that is not public and not in Settings.Networks. It is not repeated.
var ErrNotAllowed = errors.New("outbound: not allowed")

// special are the networks that are not public although netip does not say so: those of
// carriers, of protocols, of tests, and those in which another address is hidden.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// ParseNetworks reads networks such as 10.0.0.0/8 that are separated by commas. The
// empty text is none.
func ParseNetworks(text string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		network, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("%q is no network, such as 10.0.0.0/8: %w", part, err)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// dialer makes connections to what may be reached. It judges addresses and not names,
// so that what a name is resolved to when the connection is made is what counts.
func (s *Settings) dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTime, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !s.reaches(at.Addr()) {
			return fmt.Errorf("%w: %s is no public address, nor in Settings.Networks", ErrNotAllowed, address)
		}
		return nil
	}}
}

// reaches reports whether connections may be made to an address.
func (s *Settings) reaches(at netip.Addr) bool {
	at = at.Unmap().WithZone("")
	inside := func(network netip.Prefix) bool { return network.Contains(at) }
	if slices.ContainsFunc(s.Networks, inside) {
		return true
	}
	return at.IsGlobalUnicast() && !at.IsPrivate() && !slices.ContainsFunc(special, inside)
}

// calls reports whether a host may be called.
func (s *Settings) calls(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return len(s.Hosts) == 0 || slices.ContainsFunc(s.Hosts, func(allowed string) bool { return strings.EqualFold(allowed, host) })
}

// redirect says whether a redirect is followed: as often as s allows, and only to where
// the call went. Elsewhere its headers, its body and the client's certificate are
// nobody's business; the caller gets the answer that leads there.
func (s *Settings) redirect(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > s.Redirects || next.URL.Scheme != first.Scheme || !strings.EqualFold(next.URL.Host, first.Host) {
		return http.ErrUseLastResponse
	}
	return nil
}
