//go:build integration

package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/chain"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/manager"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/reconciler"
	"github.com/ctxscaffold/ctxscaffold/templates/runtime/runtimetest"
)

// asOperator, set in the environment to a widget's name, turns this test binary
// into an operator whose work on that widget lasts until it is ended.
const asOperator = "CTXSCAFFOLD_TEST_OPERATOR"

// confession is what the operator says at its end.
type confession struct {
	Outcome string // of the pass that was under way
	Errors  float64
	Totals  map[string]float64 // of passes, by result
}

// operate is the main function of that operator: it prints "working", and at
// its end a confession. It returns the exit code.
func operate(name string) int {
	ctx := ctrl.SetupSignalHandler()
	told := confession{Totals: map[string]float64{}}
	err := func() error {
		cfg, err := ctrl.GetConfig()
		if err != nil {
			return err
		}
		rt, err := manager.New(ctx, cfg, manager.Options{
			Scheme: runtimetest.Scheme(), Settings: manager.Settings{MetricsBindAddress: "0", ProbeBindAddress: "0"},
		})
		if err != nil {
			return err
		}
		loop, err := reconciler.New(rt, kind(), user(func(ctx context.Context, w *widget) error {
			if w.Name != name {
				return nil
			}
			w.Status.Phase = "HalfDone"
			fmt.Println("working")
			<-ctx.Done()
			return fmt.Errorf("ask the bank: %w", ctx.Err())
		}))
		if err != nil {
			return err
		}
		witness := func(next chain.Func) chain.Func {
			return func(ctx context.Context, req reconcile.Request) error {
				err := next(ctx, req)
				if req.Name == name {
					told.Outcome = cause.Classify(ctx, err).Name
				}
				return err
			}
		}
		if err := loop.Register(rt, wrap(rt, loop, witness)); err != nil {
			return err
		}
		return rt.Run(ctx)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	families, err := metrics.Registry.Gather()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			switch family.GetName() {
			case "controller_runtime_reconcile_errors_total":
				told.Errors += m.GetCounter().GetValue()
			case "controller_runtime_reconcile_total":
				for _, label := range m.GetLabel() {
					if label.GetName() == "result" {
						told.Totals[label.GetValue()] += m.GetCounter().GetValue()
					}
				}
			}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		return 1
	}
	return 0
}

// A process that is asked to stop in the middle of a pass exits with 0, has
// written the status, says why, and counts no reconcile error.
func TestSIGTERMInMidReconcile(t *testing.T) {
	w := create(t, &widget{})
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), asOperator+"="+w.Name, "KUBECONFIG="+path)
	process.Stderr = os.Stderr
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	if !lines.Scan() || lines.Text() != "working" {
		t.Fatalf("the operator says %q", lines.Text())
	}
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var told confession
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "{") {
			if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := process.Wait(); err != nil {
		t.Errorf("exit %v, want 0", err)
	}
	if told.Outcome != cause.Shutdown.Name() || told.Errors != 0 || told.Totals["error"] != 0 || told.Totals["success"] == 0 {
		t.Errorf("the operator says %+v", told)
	}
	stored := get(t, w)
	c := ready(stored)
	if c.Status != metav1.ConditionUnknown || c.Reason != cause.Shutdown.Reason() || stored.Status.Phase != "HalfDone" {
		t.Errorf("status %+v", stored.Status)
	}
}
