package chain

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// An object may fail and then be deleted while another replica leads: nothing here
// hears of it again.
func TestFailuresWithoutANextPassAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := errors.New("failing")
		var f failures
		for n := range 1000 {
			f.note(types.NamespacedName{Name: fmt.Sprint(n)}, failing, failure{number: 1})
		}
		stays := types.NamespacedName{Name: "stays"}
		for n := range 10 {
			if got := f.of(stays).number; got != n {
				t.Errorf("pass %d follows failure %d", n+1, got)
			}
			f.note(stays, failing, failure{number: n + 1})
			time.Sleep(1000 * time.Second) // the longest backoff
			f.note(types.NamespacedName{Name: "works"}, nil, failure{number: 1})
		}
		if got := len(f.recent) + len(f.older); got != 1 {
			t.Errorf("%d failures are kept, of one object", got)
		}
	})
}

func TestSuccessEndsARowOfLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f failures
		object := types.NamespacedName{Name: "a"}
		f.note(object, errors.New("failing"), failure{number: 1})
		time.Sleep(remembered)
		f.note(types.NamespacedName{Name: "b"}, nil, failure{number: 1})
		if f.note(object, nil, failure{number: 2}); f.of(object).number != 0 {
			t.Error("a success is forgotten, and the failure before it is not")
		}
	})
}
