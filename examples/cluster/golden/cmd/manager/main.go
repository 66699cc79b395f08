// Command manager runs the operator. This file is yours: it does not change
// when the CRDs do.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"example.com/cluster/internal/controller"
	"example.com/cluster/internal/runtime/manager"
)

func main() {
	settings := manager.Settings{
		LeaderElectionID:   "cluster",
		MetricsBindAddress: ":8443",
		MetricsSecure:      true,
		ProbeBindAddress:   ":8081",
	}
	settings.BindFlags(flag.CommandLine)
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()

	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	if err := run(ctrl.SetupSignalHandler(), settings); err != nil {
		ctrl.Log.Error(err, "The operator ended")
		os.Exit(1)
	}
}

// run returns when ctx, the root of every context in this process, has ended
// and the shutdown is complete, or as soon as something fails.
func run(ctx context.Context, settings manager.Settings) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, controller.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	rt, err := manager.New(ctx, config, manager.Options{Scheme: scheme, Settings: settings})
	if err != nil {
		return err
	}
	if err := controller.SetupAll(rt); err != nil {
		return err
	}
	return rt.Run(ctx)
}
