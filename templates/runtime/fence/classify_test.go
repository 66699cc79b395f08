package fence

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const console = "/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/v/console"

func TestWhatIsUpgradedIsAStreamWhateverItsName(t *testing.T) {
	websocket := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	tests := []struct {
		method, path string
		header       http.Header
		want         effect
	}{
		{"GET", console, websocket, connect},
		{"POST", console, http.Header{"Upgrade": {"SPDY/3.1"}}, connect},
		{"GET", console, http.Header{"Sec-Websocket-Protocol": {"v5.channel.k8s.io"}}, connect},
		{"POST", console, http.Header{"X-Stream-Protocol-Version": {"v4.channel.k8s.io"}}, connect},
		{"GET", console + "?watch=true", websocket, connect},
		{"GET", "ws://h" + console, nil, connect},
		{"GET", console, nil, harmless},
		{"GET", widgets + "?watch=true", websocket, harmless},
		{"GET", widgets + "?watch=1", websocket, harmless},
		{"GET", widgets + "?watch=false", websocket, connect},
		{"POST", widgets + "?watch=true", websocket, connect},
		{"GET", "/api/v1/namespaces/default/pods/p/log?follow=true", websocket, harmless},
		{"GET", "/apis/other.example/v1/namespaces/default/pods/p/log", websocket, connect},
		{"GET", "/anything?watch=true", websocket, connect},
	}
	for _, test := range tests {
		r := httptest.NewRequest(test.method, test.path, nil)
		for name, values := range test.header {
			r.Header[name] = values
		}
		if got := classify(r, ""); got != test.want {
			t.Errorf("%s %s with %v: %d, want %d", test.method, test.path, test.header, got, test.want)
		}
	}
}

// protobuf returns options as client-go's typed clients send them.
func protobuf(t *testing.T, options metav1.DeleteOptions) string {
	t.Helper()
	raw, err := options.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	envelope := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}, Raw: raw}
	text, err := envelope.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return "k8s\x00" + string(text)
}

// The API server reads the options of a deletion from its body, and from the
// query only if there is none.
func TestADeletionIsADryRunByItsBody(t *testing.T) {
	dry := protobuf(t, metav1.DeleteOptions{DryRun: []string{"All"}})
	tests := map[string]struct {
		query, media, body string
		want               effect
	}{
		"the query alone":              {"?dryRun=All", "", "", harmless},
		"a body alone":                 {"", "application/json", `{"dryRun":["All"]}`, harmless},
		"a body of no type":            {"", "", `{"dryRun":["All"]}`, harmless},
		"a body with parameters":       {"", "application/json; charset=utf-8", `{"dryRun":["All"]}`, harmless},
		"protobuf":                     {"", runtime.ContentTypeProtobuf, dry, harmless},
		"neither":                      {"", "application/json", `{"gracePeriodSeconds":0}`, write},
		"a body against the query":     {"?dryRun=All", "application/json", `{}`, write},
		"protobuf against the query":   {"?dryRun=All", runtime.ContentTypeProtobuf, protobuf(t, metav1.DeleteOptions{}), write},
		"another spelling":             {"", "application/json", `{"DryRun":["All"]}`, write},
		"what is not JSON":             {"?dryRun=All", "application/json", `dryRun: [All]`, write},
		"what is no protobuf":          {"?dryRun=All", runtime.ContentTypeProtobuf, "k8s", write},
		"a type that is not looked at": {"?dryRun=All", "application/cbor", `{"dryRun":["All"]}`, write},
		"no type at all":               {"?dryRun=All", ";", `{"dryRun":["All"]}`, write},
		"too long a body":              {"", "application/json", `{"dryRun":["All"]}` + strings.Repeat(" ", most), write},
	}
	for name, test := range tests {
		for _, path := range []string{widgets + "/w", widgets} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://h"+path+test.query, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", test.media)
			if got := classify(r, ""); got != test.want {
				t.Errorf("%s: %d, want %d", name, got, test.want)
			}
			if r.Body != http.NoBody {
				r.GetBody, r.URL.RawQuery = nil, "dryRun=All"
				if got := classify(r, ""); got != write {
					t.Errorf("%s, in a body that can be read once: %d", name, got)
				}
			}
		}
	}
}
