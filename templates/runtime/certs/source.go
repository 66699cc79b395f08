package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Source is where a server's certificate comes from.
type Source struct {
	// Folder holds tls.crt and tls.key, which may be replaced at any time.
	Folder string
	// SelfSigned are names and addresses, separated by commas. If there are any,
	// certificates for them are made, by an authority in Folder.
	SelfSigned string
}

// Serving returns how to serve with the certificate as it is at each handshake.
// Files are watched until ctx ends; watching counts who does.
func (s Source) Serving(ctx context.Context, watching *sync.WaitGroup) (*tls.Config, error) {
	find, err := s.certificate(ctx, watching)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: find}, nil
}

func (s Source) certificate(ctx context.Context, watching *sync.WaitGroup) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if hosts := s.hosts(); len(hosts) > 0 {
		own, err := NewSelfSigned(s.Folder, hosts, DefaultValid)
		if err != nil {
			return nil, err
		}
		return own.GetCertificate, nil
	}
	watcher, err := certwatcher.New(filepath.Join(s.Folder, "tls.crt"), filepath.Join(s.Folder, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("%w: the folder must hold tls.crt and tls.key, or this host be named to make them for", err)
	}
	watching.Go(func() {
		if err := watcher.Start(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "Certificates are not watched any more", "folder", s.Folder)
		}
	})
	return watcher.GetCertificate, nil
}

// hosts are the names and addresses in SelfSigned.
func (s Source) hosts() []string {
	return strings.FieldsFunc(s.SelfSigned, func(r rune) bool { return r == ',' || r == ' ' })
}
