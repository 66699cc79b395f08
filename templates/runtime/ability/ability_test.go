package ability_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/ability"
)

type finalizer interface {
	FinalizeKind(ctx context.Context, name string) error
}

type observer interface {
	ObserveKind(ctx context.Context, name string) error
}

type without struct{}

type right struct{}

func (*right) FinalizeKind(context.Context, string) error { return nil }

type wrong struct{}

func (wrong) FinalizeKind(context.Context, string) (int, error) { return 0, nil }
func (wrong) ObserveKind(string) error                          { return nil }

// Embedded methods are promoted, and are judged as the outer type's own.
type embedding struct{ wrong }

func TestMethodsWithAnAbilitysNameAloneAreRefused(t *testing.T) {
	finalizing, observing := reflect.TypeFor[finalizer](), reflect.TypeFor[observer]()
	tests := map[string]struct {
		user any
		want []string
	}{
		"nothing at all":    {user: nil},
		"no such method":    {user: without{}},
		"the right method":  {user: &right{}},
		"a nil pointer":     {user: (*right)(nil)},
		"pointer receivers": {user: right{}, want: []string{"method FinalizeKind of *ability_test.right would never be called", "give a pointer"}},
		"other signatures": {user: &wrong{}, want: []string{
			"method FinalizeKind(context.Context, string) (int, error) of *ability_test.wrong would never be called: make it FinalizeKind(context.Context, string) error",
			"make it ObserveKind(context.Context, string) error",
		}},
		"promoted ones": {user: embedding{}, want: []string{"FinalizeKind", "ObserveKind"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := ability.Check(test.user, finalizing, observing)
			if (err != nil) != (test.want != nil) {
				t.Fatalf("Check() = %v, want an error: %t", err, test.want != nil)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Check() = %v, want %q in it", err, want)
				}
			}
		})
	}
}
