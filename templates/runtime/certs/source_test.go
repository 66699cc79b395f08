package certs

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestASourceMakesCertificatesForEveryHost(t *testing.T) {
	source := Source{Folder: t.TempDir(), SelfSigned: "127.0.0.1, localhost"}
	var watching sync.WaitGroup
	config, err := source.Serving(t.Context(), &watching)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := config.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(pair.Leaf.DNSNames, "localhost") || len(pair.Leaf.IPAddresses) != 1 {
		t.Errorf("for %v and %v", pair.Leaf.DNSNames, pair.Leaf.IPAddresses)
	}
}

func TestASourceSaysWhatItLacks(t *testing.T) {
	var watching sync.WaitGroup
	folder := t.TempDir()
	if _, err := (Source{Folder: folder}).Serving(t.Context(), &watching); err == nil || !strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), "tls.crt and tls.key") {
		t.Errorf("error %v", err)
	}
}
