package fence

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/apipath"
)

// effect is what a request may do.
type effect int

const (
	harmless effect = iota // changes nothing that others work on
	write                  // changes objects
	connect                // opens a stream to something that may do anything
)

// classify tells what r may do at an API server served under root. What is not
// known to be harmless counts as a write.
func classify(r *http.Request, root string) effect {
	path := apipath.Parse(r.URL.Path, root)
	switch path.Subresource {
	case "exec", "attach", "portforward", "proxy":
		return connect
	}
	if upgrades(r) && !streamsOut(r, path) {
		return connect
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return harmless
	}
	switch path.Group {
	case "authorization.k8s.io": // has nothing but reviews
		return harmless
	case "authentication.k8s.io":
		if path.Resource == "tokenreviews" || path.Resource == "selfsubjectreviews" {
			return harmless
		}
	case "", "events.k8s.io":
		if path.Resource == "events" && r.Method != http.MethodDelete {
			return harmless
		}
	}
	if path.Resource != "" && dryRun(r) {
		return harmless
	}
	return write
}

// upgrades reports whether r asks for a connection that both sides write to. What
// opens streams for client-go adds Upgrade only below the fence, so that what it
// says above it counts as well.
func upgrades(r *http.Request) bool {
	for _, name := range []string{"Upgrade", "Sec-Websocket-Protocol", "X-Stream-Protocol-Version"} {
		if _, ok := r.Header[name]; ok {
			return true
		}
	}
	return r.URL.Scheme == "ws" || r.URL.Scheme == "wss"
}

// streamsOut reports whether an upgraded request is a read all the same: the API
// server itself answers, and does not listen. It offers that for watches and for
// the logs of pods.
func streamsOut(r *http.Request, path apipath.Info) bool {
	if r.Method != http.MethodGet {
		return false
	}
	if path.Subresource != "" {
		return path.GroupResource() == "pods" && path.Subresource == "log"
	}
	watch, err := strconv.ParseBool(r.URL.Query().Get("watch"))
	return path.Resource != "" && watch && err == nil
}

// dryRun reports whether the API server is asked to change nothing. For a deletion
// its options are in the body and, only where that is empty, in the query.
func dryRun(r *http.Request) bool {
	asked := r.URL.Query()["dryRun"]
	if r.Method == http.MethodDelete {
		body, err := peek(r)
		if err != nil {
			return false
		}
		if len(body) > 0 {
			var options metav1.DeleteOptions
			if decode(r.Header.Get("Content-Type"), body, &options) != nil {
				return false
			}
			asked = options.DryRun
		}
	}
	return slices.Contains(asked, metav1.DryRunAll)
}

// most is how much of a body is looked at. Nobody has so many options.
const most = 1 << 16

// peek returns a copy of r's body. It fails if there is none to be had, or none
// that is short enough.
func peek(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.GetBody == nil {
		return nil, http.ErrNotSupported
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, most))
	if len(text) == most {
		return nil, http.ErrNotSupported
	}
	return text, err
}

// decode reads options as the API server would. There is more that it can read,
// but nothing else that clients send.
func decode(contentType string, body []byte, options *metav1.DeleteOptions) error {
	media, _, err := mime.ParseMediaType(contentType)
	if contentType != "" && err != nil {
		return err
	}
	switch media {
	case "", runtime.ContentTypeJSON:
		return json.Unmarshal(body, options) // with the API server's own rules
	case runtime.ContentTypeProtobuf:
		raw, ok := bytes.CutPrefix(body, []byte("k8s\x00"))
		if !ok {
			return http.ErrNotSupported
		}
		var envelope runtime.Unknown
		if err := envelope.Unmarshal(raw); err != nil {
			return err
		}
		return options.Unmarshal(envelope.Raw)
	}
	return http.ErrNotSupported
}

// Reads reports whether r, a request to an API server served under root, can do nothing but
// read.
func Reads(r *http.Request, root string) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return classify(r, root) == harmless
	}
	return false
}

// Write reports whether r, a request to an API server served under root, counts as
// a write, and of which resource: "deployments.apps", or "pods" of the core.
func Write(r *http.Request, root string) (resource string, writes bool) {
	if classify(r, root) != write {
		return "", false
	}
	return apipath.Parse(r.URL.Path, root).GroupResource(), true
}
