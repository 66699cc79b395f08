// Command operator is what the measurements of leadership are made on: an
// operator of widgets that writes to them without pause, with this repository's
// runtime (-mode ours) or as controller-runtime's plain manager (-mode plain).
//
// It says on standard output, one JSON object a line, when it leads and when it
// does not, and serves its own HTTP API and the switches of an experiment at
// -address.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/leader"
)

// pause is the time between two writes of one widget.
const pause = 20 * time.Millisecond

// workers is how many widgets are worked on at once.
const workers = 4

// options are the command line.
type options struct {
	mode      string
	address   string
	probes    string // address of the health probes
	namespace string // of the widgets
	leader    leader.Settings
}

func main() {
	var o options
	flag.StringVar(&o.mode, "mode", "ours", "ours or plain")
	flag.StringVar(&o.address, "address", "127.0.0.1:0", "where to serve")
	flag.StringVar(&o.probes, "probes", "0", "where to serve health probes")
	flag.StringVar(&o.namespace, "widgets", "default", "namespace of the widgets")
	flag.StringVar(&o.leader.Name, "lease", "operator", "name of the lease")
	unwatched := flag.Bool("unwatched", false, "let no watch of the lease through")
	o.leader.BindFlags(flag.CommandLine)
	flag.Parse()
	if err := run(o, *unwatched); err != nil {
		tell(event{Event: "ended", Reason: err.Error()})
		os.Exit(1)
	}
}

func run(o options, unwatched bool) error {
	ctrl.SetLogger(logr.Discard())
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config = rest.CopyConfig(config)
	config.UserAgent = o.leader.Identity
	line := &network{unwatched: unwatched}
	config.Wrap(line.wrap)
	ctx := ctrl.SetupSignalHandler()
	switch o.mode {
	case "ours":
		return ours(ctx, config, o, line)
	case "plain":
		return plain(ctx, config, o, line)
	}
	return fmt.Errorf("there is no mode %q", o.mode)
}

// event is a line on standard output.
type event struct {
	// Time is in nanoseconds since 1970.
	Time   int64  `json:"time"`
	Event  string `json:"event"` // serving, leading, observing or ended
	Term   string `json:"term,omitempty"`
	Reason string `json:"reason,omitempty"`
}

var output sync.Mutex

// tell writes an event, with the present time unless it has one.
func tell(e event) {
	output.Lock()
	defer output.Unlock()
	if e.Time == 0 {
		e.Time = time.Now().UnixNano()
	}
	if err := json.NewEncoder(os.Stdout).Encode(e); err != nil {
		os.Exit(1) // whoever reads it has gone
	}
}
