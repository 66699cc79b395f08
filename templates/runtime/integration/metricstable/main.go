// Command metricstable prints the metrics of the runtime as a Markdown table,
// for docs/observability.md.
package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/observe"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/quota"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/tenant"
)

func main() {
	fmt.Println("| metric | type | labels | what |")
	fmt.Println("|---|---|---|---|")
	for _, m := range slices.Concat(observe.Metrics(), quota.Metrics(), tenant.Metrics()) {
		fmt.Printf("| `%s` | %s | `%s` | %s |\n", m.Name, m.Type, strings.Join(m.Labels, "`, `"), m.Help)
	}
}
