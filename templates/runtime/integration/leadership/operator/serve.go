package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path"
	"runtime"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// api is the operator's own HTTP API: a widget is read from the cache, and a
// POST labels it.
type api struct {
	client    client.Client
	namespace string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	widget := &runtimetest.Widget{}
	widget.Namespace, widget.Name = a.namespace, path.Base(r.URL.Path)
	var err error
	if r.Method == http.MethodGet {
		err = a.client.Get(r.Context(), client.ObjectKeyFromObject(widget), widget)
	} else {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"seen":"%d"}}}`, time.Now().UnixNano())
		err = a.client.Patch(r.Context(), widget, client.RawPatch(types.MergePatchType, patch))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if err := json.NewEncoder(w).Encode(widget); err != nil {
		return // the caller has gone
	}
}

// counts is what is left behind if anything is.
type counts struct {
	Goroutines int `json:"goroutines"`
	// Handlers are the event handlers of informers.
	Handlers int `json:"handlers"`
}

func count() counts {
	runtime.GC()
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return counts{Goroutines: runtime.NumGoroutine(), Handlers: bytes.Count(stacks, []byte("processorListener).run("))}
}

// serve serves until the process ends, which tells where.
func serve(ctx context.Context, address string, api http.Handler, line *network) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/widgets/", api)
	mux.HandleFunc("/counts", func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(count()); err != nil {
			return // the caller has gone
		}
	})
	mux.HandleFunc("/block", func(http.ResponseWriter, *http.Request) { line.block(true) })
	mux.HandleFunc("/unblock", func(http.ResponseWriter, *http.Request) { line.block(false) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	tell(event{Event: "serving", Reason: listener.Addr().String()})
	return nil
}
