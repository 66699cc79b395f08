package manager

import ctrl "sigs.k8s.io/controller-runtime"

// adjustments are made to the options of every manager of this process.
var adjustments []func(*ctrl.Options) error

// Adjust has f change controller-runtime's options before they are used, and before
// Options.Configure does. It is for generated packages, which call it in an init
// beside the flags they bind: main.go is the user's and does not know of them. An
// error of f is New's.
func Adjust(f func(*ctrl.Options) error) { adjustments = append(adjustments, f) }

func adjust(o *ctrl.Options) error {
	for _, f := range adjustments {
		if err := f(o); err != nil {
			return err
		}
	}
	return nil
}
