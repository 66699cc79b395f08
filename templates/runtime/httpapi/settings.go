package httpapi

import (
	"cmp"
	"flag"
	"fmt"
	"strings"
	"time"
)

// Defaults of the settings.
const (
	DefaultMaxTimeout  = 10 * time.Second
	DefaultMaxBody     = 1 << 20
	DefaultConnections = 128
)

// Off is the address of a server that is not wanted.
const Off = "0"

// Settings are those of the HTTP API.
type Settings struct {
	// BindAddress is where the API is served; empty or [Off] turns it off.
	BindAddress string
	// Insecure serves without TLS and without asking who calls.
	Insecure bool
	// CertDir is a folder with tls.crt and tls.key, which may change at any time.
	CertDir string
	// SelfSigned are names and addresses, separated by commas, for which
	// certificates are made by an authority in CertDir. Not for production.
	SelfSigned string
	// Audiences are those that tokens must be for, separated by commas: callers' tokens
	// are then good for nothing else. Empty means the API server's own.
	Audiences string
	// TrustTraces goes on with the traces of callers and takes in their baggage, for
	// callers that are all one's own. Else a caller's trace is linked.
	TrustTraces bool
	// MaxTimeout is the longest that an answer may take, however long its caller
	// would wait. 0 means [DefaultMaxTimeout].
	MaxTimeout time.Duration
	// MaxBody is the size of the largest body in bytes. 0 means [DefaultMaxBody].
	MaxBody int64
	// Connections is how many there may be at a time. 0 means
	// [DefaultConnections].
	Connections int
}

// BindFlags adds a flag for each setting, with the present values as defaults.
func (s *Settings) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&s.BindAddress, "http-bind-address", s.BindAddress,
		"Address for the operator's HTTP API, such as :8444; 0 turns it off.")
	fs.BoolVar(&s.Insecure, "http-insecure", s.Insecure,
		"Serve the HTTP API without TLS and without asking who calls. For local use.")
	fs.StringVar(&s.CertDir, "http-cert-dir", s.CertDir,
		"Folder with tls.crt and tls.key for the HTTP API; they may be replaced at any time.")
	fs.StringVar(&s.SelfSigned, "http-self-signed", s.SelfSigned,
		"Make certificates for these names and addresses, separated by commas, with an authority in --http-cert-dir. Not for production.")
	fs.StringVar(&s.Audiences, "http-audience", s.Audiences,
		"Audiences, separated by commas, one of which a token must be for; empty means the API server's own.")
	fs.BoolVar(&s.TrustTraces, "http-trust-traces", s.TrustTraces,
		"Go on with the traces of the HTTP API's callers, and with their baggage, instead of linking them.")
	fs.DurationVar(&s.MaxTimeout, "http-max-timeout", s.MaxTimeout,
		fmt.Sprintf("Longest time for one answer of the HTTP API, whatever its caller announces. 0 means %s.", DefaultMaxTimeout))
	fs.Int64Var(&s.MaxBody, "http-max-body", s.MaxBody,
		fmt.Sprintf("Largest body of a request to the HTTP API, in bytes. 0 means %d.", DefaultMaxBody))
	fs.IntVar(&s.Connections, "http-max-connections", s.Connections,
		fmt.Sprintf("Most connections to the HTTP API at a time. 0 means %d.", DefaultConnections))
}

// Complete returns a copy with defaults filled in, or an error that says which
// flag to change.
func (s Settings) Complete() (Settings, error) {
	s.MaxTimeout = cmp.Or(s.MaxTimeout, DefaultMaxTimeout)
	s.MaxBody = cmp.Or(s.MaxBody, DefaultMaxBody)
	s.Connections = cmp.Or(s.Connections, DefaultConnections)
	switch {
	case s.MaxTimeout < 0:
		return s, fmt.Errorf("--http-max-timeout %s is negative", s.MaxTimeout)
	case s.MaxBody < 0:
		return s, fmt.Errorf("--http-max-body %d is negative", s.MaxBody)
	case s.Connections < 0:
		return s, fmt.Errorf("--http-max-connections %d is negative", s.Connections)
	case !s.Insecure && s.CertDir == "":
		return s, fmt.Errorf("--http-bind-address %s needs --http-cert-dir with tls.crt and tls.key; --http-insecure serves without TLS, and to everybody", s.BindAddress)
	}
	return s, nil
}

// TokenAudiences are the audiences of the setting.
func (s Settings) TokenAudiences() []string {
	return strings.FieldsFunc(s.Audiences, func(r rune) bool { return r == ',' || r == ' ' })
}

// Serves reports whether there is an address to serve at.
func (s Settings) Serves() bool { return s.BindAddress != "" && s.BindAddress != Off }

// Longest is the longest that an answer may take, 0 where none is served.
func (s Settings) Longest() time.Duration {
	if !s.Serves() {
		return 0
	}
	return s.MaxTimeout
}
