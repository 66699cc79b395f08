package httpx

import (
	"bytes"
	"maps"
	"net/http"
	"strconv"
)

// answer holds back what a handler answers until it is known to count.
type answer struct {
	header http.Header
	code   int // 0 until something is written
	sent   http.Header
	body   bytes.Buffer
}

var _ http.ResponseWriter = (*answer)(nil)

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter. Informational headers are not
// sent.
func (a *answer) WriteHeader(code int) {
	if a.code != 0 || code < http.StatusOK {
		return
	}
	a.code, a.sent = code, a.header.Clone()
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// send writes the answer to w, whose header keeps what it has.
func (a *answer) send(w http.ResponseWriter) {
	a.WriteHeader(http.StatusOK)
	maps.Copy(w.Header(), a.sent)
	if a.body.Len() > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(a.body.Len()))
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body.Bytes()) // whoever is gone cannot be told
}
