package admission

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Defaults of the settings.
const (
	// DefaultTimeout is the API server's own default for a webhook.
	DefaultTimeout = 10 * time.Second
	// DefaultConversionTimeout is short because whoever reads an object waits.
	DefaultConversionTimeout = 5 * time.Second
)

// Off is the address of a server that is not wanted.
const Off = "0"

// Settings are those of the webhook server.
type Settings struct {
	// BindAddress is where webhooks are served; empty or [Off] turns them off.
	BindAddress string
	// CertDir is a folder with tls.crt and tls.key, which may change at any time.
	// Empty means the folder in which controller-runtime looks, in that of
	// temporary files.
	CertDir string
	// SelfSigned are names and addresses, separated by commas. If there are any,
	// certificates for them are made and renewed by an authority in CertDir, whose
	// ca.crt their callers must trust. Not for production: replicas share nothing.
	SelfSigned string
	// HTTP2 serves HTTP/2 as well. The API server uses it only for webhooks at a
	// loopback address.
	HTTP2 bool
	// MaxTimeout is the longest an admission may take, however long the API
	// server would wait. 0 means [DefaultTimeout].
	MaxTimeout time.Duration
	// ConversionTimeout is the same for a conversion. 0 means
	// [DefaultConversionTimeout].
	ConversionTimeout time.Duration
}

// BindFlags adds a flag for each setting, with the present values as defaults.
func (s *Settings) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&s.BindAddress, "webhook-bind-address", s.BindAddress,
		"Address for webhooks, such as :9443; 0 turns them off.")
	fs.StringVar(&s.CertDir, "webhook-cert-dir", s.CertDir,
		"Folder with tls.crt and tls.key for webhooks; they may be replaced at any time.")
	fs.StringVar(&s.SelfSigned, "webhook-self-signed", s.SelfSigned,
		"Make certificates for these names and addresses, separated by commas, with an authority in --webhook-cert-dir. Not for production.")
	fs.BoolVar(&s.HTTP2, "webhook-http2", s.HTTP2,
		"Serve webhooks by HTTP/2 as well.")
	fs.DurationVar(&s.MaxTimeout, "webhook-max-timeout", s.MaxTimeout,
		fmt.Sprintf("Longest time for one admission, whatever the API server's timeout. 0 means %s.", DefaultTimeout))
	fs.DurationVar(&s.ConversionTimeout, "webhook-conversion-timeout", s.ConversionTimeout,
		fmt.Sprintf("Longest time for one conversion. 0 means %s.", DefaultConversionTimeout))
}

// Complete returns a copy with defaults filled in, or an error that says which
// flag to change.
func (s Settings) Complete() (Settings, error) {
	s.CertDir = cmp.Or(s.CertDir, filepath.Join(os.TempDir(), "k8s-webhook-server", "serving-certs"))
	s.MaxTimeout = cmp.Or(s.MaxTimeout, DefaultTimeout)
	s.ConversionTimeout = cmp.Or(s.ConversionTimeout, DefaultConversionTimeout)
	if s.MaxTimeout < time.Second {
		return s, fmt.Errorf("--webhook-max-timeout %s is shorter than a second, the API server's shortest timeout", s.MaxTimeout)
	}
	if s.ConversionTimeout < 0 {
		return s, fmt.Errorf("--webhook-conversion-timeout %s is negative", s.ConversionTimeout)
	}
	return s, nil
}

// Serves reports whether there is an address to serve at.
func (s Settings) Serves() bool { return s.BindAddress != "" && s.BindAddress != Off }

// Longest is the longest that a request may take.
func (s Settings) Longest() time.Duration { return max(s.MaxTimeout, s.ConversionTimeout) }
