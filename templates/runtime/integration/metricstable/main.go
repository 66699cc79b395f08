// Command metricstable prints the metrics of package observe as a Markdown table,
// for docs/observability.md.
package main

import (
	"fmt"
	"strings"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
)

func main() {
	fmt.Println("| metric | type | labels | what |")
	fmt.Println("|---|---|---|---|")
	for _, m := range observe.Metrics() {
		fmt.Printf("| `%s` | %s | `%s` | %s |\n", m.Name, m.Type, strings.Join(m.Labels, "`, `"), m.Help)
	}
}
