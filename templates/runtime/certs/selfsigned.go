package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// authorityLife is how long an authority lasts; it is not renewed while a server
// runs, as nobody would learn of it.
const authorityLife = 365 * 24 * time.Hour

// DefaultValid is for how long a certificate of [SelfSigned] is valid.
const DefaultValid = 24 * time.Hour

// SelfSigned is a server's certificate, replaced by a new one when two thirds of
// its time are over. It is signed by an authority that is kept in a folder, so
// that callers may go on trusting it: they need [CAFile].
type SelfSigned struct {
	authority *authority
	hosts     []string
	valid     time.Duration

	mu      sync.Mutex
	current *tls.Certificate
	due     time.Time // when current is to be replaced
}

// NewSelfSigned returns a certificate for hosts, names and IP addresses of the
// server, one at least. The folder and the authority in it are made if need be;
// two processes must not make the same one at the same time.
func NewSelfSigned(folder string, hosts []string, valid time.Duration) (*SelfSigned, error) {
	if len(hosts) == 0 {
		return nil, errors.New("self-signed certificate: no host is named")
	}
	a, err := openAuthority(folder)
	if err != nil {
		return nil, fmt.Errorf("self-signed authority in %s: %w", folder, err)
	}
	return &SelfSigned{authority: a, hosts: hosts, valid: valid}, nil
}

// GetCertificate is for a tls.Config. It makes a certificate when none is there
// or the one there is due.
func (s *SelfSigned) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.current != nil && now.Before(s.due) {
		return s.current, nil
	}
	pair, err := s.authority.issue(s.hosts, s.valid)
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	s.current, s.due = pair, now.Add(s.valid*2/3)
	return pair, nil
}

// openAuthority returns the authority in folder, or makes it.
func openAuthority(folder string) (*authority, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	certificate, key, err := read(folder, CAFile, caKey)
	if err != nil {
		return nil, err
	}
	if certificate != nil {
		a, err := parseAuthority(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("%w; delete %s and %s to have them made anew", err, CAFile, caKey)
		}
		if time.Until(a.certificate.NotAfter) > authorityLife/2 {
			return a, nil
		}
	}
	a, err := newAuthority(authorityLife)
	if err != nil {
		return nil, err
	}
	return a, errors.Join(write(folder, caKey, a.keyPEM), write(folder, CAFile, a.pem))
}
