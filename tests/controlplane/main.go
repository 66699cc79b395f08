// Command controlplane builds a real kube-apiserver, kube-controller-manager
// and etcd from their Go modules and runs them for tests, benchmarks and the
// demo, without a container, a root user or a cluster.
//
// It does not use envtest of controller-runtime, which runs the same binaries,
// for three reasons. Only the code that starts a process can ask Linux to kill
// it with its parent, and envtest gives no access to that, so a killed test run
// would leave an API server behind. It knows no controller manager, hence no
// quota, garbage collection or namespace deletion. And it starts one component
// after the other, each asked for its flags first. Tests written for envtest
// run on top of this program: exec sets the variables that envtest reads.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const usage = `Usage: controlplane COMMAND [flags]

  build  [COMPONENT ...]            build what is missing (default: every component)
  assets [COMPONENT ...]            print the folder that holds the components
  run    [flags]                    run a control plane until stdin closes, SIGTERM or SIGINT
  exec   [flags] -- CMD [ARG ...]   run CMD with a control plane of its own

Components: etcd, kube-apiserver, kube-controller-manager, kubectl.
The flags of a command: controlplane COMMAND -h
`

// Exit codes. exec passes on the code of its command, so that its own failures
// have one that commands rarely use.
const (
	exitOK         = 0
	exitFailure    = 1
	exitUsage      = 2
	exitExecFailed = 125
)

func main() {
	os.Exit(dispatch(os.Args[1:]))
}

// dispatch runs one command line and returns the exit code.
func dispatch(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	code, failed := exitOK, exitFailure
	var err error
	switch name, args := args[0], args[1:]; name {
	case "build":
		err = buildCommand(args)
	case "assets":
		err = assetsCommand(args)
	case "run":
		err = runCommand(args)
	case "exec":
		failed = exitExecFailed
		code, err = execCommand(args)
	case "help", "-h", "-help", "--help":
		fmt.Print(usage)
	default:
		err = misuse(fmt.Errorf("there is no command %q", name), "use build, assets, run or exec")
	}
	switch {
	case err == nil:
		return code
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	}
	fmt.Fprintf(os.Stderr, "controlplane: %v\n", err)
	var f *fault
	if errors.As(err, &f) && f.misuse {
		return exitUsage
	}
	return failed
}

// newFlagSet returns the empty flag set of a command.
func newFlagSet(name, synopsis string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.Usage = func() {
		flags.SetOutput(os.Stdout)
		fmt.Printf("Usage: controlplane %s\n", synopsis)
		flags.PrintDefaults()
	}
	return flags
}

// parseFlags parses args. It returns flag.ErrHelp after having printed the help.
func parseFlags(flags *flag.FlagSet, args []string) error {
	help := flags.Usage
	// The flag package prints an error and the whole help for any slip.
	flags.Usage = func() {}
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		help()
		return err
	case err != nil:
		return misuse(err, "see controlplane "+flags.Name()+" -h")
	}
	return nil
}
