package certs

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// trusted checks what s serves as a caller does who trusts the folder's ca.crt.
func trusted(t *testing.T, folder string, s *SelfSigned, host string) *x509.Certificate {
	t.Helper()
	pair, err := s.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, CAFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", CAFile)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: time.Now()}); err != nil {
		t.Error(err)
	}
	return pair.Leaf
}

func TestACertificateIsReplacedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "made")
		s, err := NewSelfSigned(folder, []string{"127.0.0.1", "webhook.default.svc"}, 3*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		first := trusted(t, folder, s, "127.0.0.1")
		time.Sleep(2*time.Hour - time.Second)
		if !trusted(t, folder, s, "webhook.default.svc").Equal(first) {
			t.Error("replaced although it is good for another hour")
		}
		time.Sleep(time.Second)
		second := trusted(t, folder, s, "127.0.0.1")
		if second.Equal(first) {
			t.Error("not replaced when two thirds of its time were over")
		}
		time.Sleep(24 * time.Hour) // without any caller
		trusted(t, folder, s, "127.0.0.1")
	})
}

func TestTheAuthorityIsKept(t *testing.T) {
	folder := t.TempDir()
	for range 2 {
		s, err := NewSelfSigned(folder, []string{"localhost"}, DefaultValid)
		if err != nil {
			t.Fatal(err)
		}
		trusted(t, folder, s, "localhost")
	}
	before, err := os.ReadFile(filepath.Join(folder, CAFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSelfSigned(folder, []string{"localhost"}, DefaultValid); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(folder, CAFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("another authority was made: callers would not trust it")
	}
	if info, err := os.Stat(filepath.Join(folder, caKey)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v (%v), want 0600", info.Mode(), err)
	}
}

func TestAnAuthorityThatEndsSoonIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		if _, err := NewSelfSigned(folder, []string{"localhost"}, DefaultValid); err != nil {
			t.Fatal(err)
		}
		time.Sleep(authorityLife/2 + time.Hour)
		s, err := NewSelfSigned(folder, []string{"localhost"}, DefaultValid)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(authorityLife / 2)
		trusted(t, folder, s, "localhost")
	})
}

func TestNewSelfSignedRefuses(t *testing.T) {
	if _, err := NewSelfSigned(t.TempDir(), nil, DefaultValid); err == nil || !strings.Contains(err.Error(), "no host is named") {
		t.Errorf("without hosts: error %v", err)
	}
	folder := t.TempDir()
	for _, name := range []string{CAFile, caKey} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NewSelfSigned(folder, []string{"localhost"}, DefaultValid); err == nil || !strings.Contains(err.Error(), "delete ca.crt and ca.key") {
		t.Errorf("with a broken authority: error %v", err)
	}
	file := filepath.Join(folder, CAFile)
	if _, err := NewSelfSigned(file, []string{"localhost"}, DefaultValid); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("with a file for a folder: error %v", err)
	}
}
