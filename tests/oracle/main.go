// Command oracle answers, with the Kubernetes project's own code, what the
// Python tests ask about CRDs: how YAML reads, what the API server accepts,
// and what controller-gen makes of the emitted Go.
//
// It reads one JSON request a line from standard input and writes one JSON
// answer a line to standard output, so that one process serves a whole test
// run. An answer holds either "error" or the fields its command documents.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// request is one line of input: the command and its arguments.
type request struct {
	Command string          `json:"command"`
	Args    json.RawMessage `json:"args"`
}

// commands maps a command's name to its implementation.
var commands = map[string]func(json.RawMessage) (any, error){
	"yaml":       readYAML,
	"dashboard":  decodeDashboard,
	"validate":   validateCRD,
	"known":      known,
	"objects":    validateObjects,
	"go":         parseGo,
	"regenerate": regenerate,
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

// serve answers every request of in until it ends.
func serve(in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(bufio.NewReaderSize(in, 1<<20))
	buffered := bufio.NewWriter(out)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	for {
		var r request
		if err := decoder.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a request: %w", err)
		}
		if err := encoder.Encode(answer(r)); err != nil {
			return fmt.Errorf("writing the answer to %q: %w", r.Command, err)
		}
		if err := buffered.Flush(); err != nil {
			return fmt.Errorf("writing the answer to %q: %w", r.Command, err)
		}
	}
}

// answer runs one command and turns its failure into an answer.
func answer(r request) any {
	run, known := commands[r.Command]
	if !known {
		return map[string]string{"error": fmt.Sprintf("unknown command %q", r.Command)}
	}
	result, err := run(r.Args)
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	return result
}
