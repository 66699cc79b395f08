package leader

import (
	"fmt"
	"testing"
	"time"
)

// What it costs to do something in a term in which much else is being done.
func BenchmarkJoin(b *testing.B) {
	for _, others := range []int{0, 1000, 100_000} {
		b.Run(fmt.Sprint("beside ", others), func(b *testing.B) {
			term := newTerm(b.Context(), "me", 1, time.Hour, now, now())
			defer term.end(errClosing)
			for range others {
				if _, _, err := term.Join(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				_, leave, err := term.Join(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				leave()
			}
		})
	}
}
