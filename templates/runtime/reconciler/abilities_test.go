package reconciler_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// misspelt has every optional method, as people write them from memory.
type misspelt struct{ user }

func (misspelt) FinalizeKind(context.Context, *widget) (reconcile.Result, error) {
	return reconcile.Result{}, nil
}
func (misspelt) ObserveKind(context.Context, widget) error { return nil }
func (misspelt) Every() int                                { return 60 }
func (misspelt) Budget() int                               { return 60 }
func (misspelt) Interruptible() error                      { return nil }
func (misspelt) Configure(*builder.Builder)                {}
func (misspelt) ConfigureOptions(builder.Builder)          {}
func (misspelt) Predicates() error                         { return nil }
func (misspelt) RequestsFor(context.Context, *widget) []reconcile.Request {
	return nil
}

func TestAMethodThatNothingWouldCallIsRefused(t *testing.T) {
	_, err := reconciler.New(runtimetest.NewProcess(limit), kind(), misspelt{user(succeed)})
	if err == nil {
		t.Fatal("New() took methods that nothing would call")
	}
	want := "kind widget: method FinalizeKind(context.Context, *runtimetest.Widget) (reconcile.Result, error) of reconciler_test.misspelt " +
		"would never be called: make it FinalizeKind(context.Context, *runtimetest.Widget) error"
	if !strings.Contains(err.Error(), want) {
		t.Errorf("New() = %v, want %q in it", err, want)
	}
	for _, name := range optionalMethods(t) {
		if !strings.Contains(err.Error(), "method "+name+"(") {
			t.Errorf("New() = %v, which is silent about %s", err, name)
		}
	}
}

// optionalMethods are the methods of all interfaces that a user's reconciler may
// implement, as the source of the package has them.
func optionalMethods(t *testing.T) []string {
	t.Helper()
	names := []string{"RequestsFor"}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok || !strings.Contains(general.Doc.Text(), "implemented by reconcilers") {
				continue
			}
			for _, spec := range general.Specs {
				for _, method := range spec.(*ast.TypeSpec).Type.(*ast.InterfaceType).Methods.List {
					names = append(names, method.Names[0].Name)
				}
			}
		}
	}
	if len(names) < 7 {
		t.Fatalf("found only %v", names)
	}
	return names
}
