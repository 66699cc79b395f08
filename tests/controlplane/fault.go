package main

// fault is an error together with the next step its reader should take.
type fault struct {
	err    error
	fix    string
	misuse bool // the command line itself is wrong
}

// failure returns err with the step that mends it.
func failure(err error, fix string) error {
	return &fault{err: err, fix: fix}
}

// misuse is failure for a wrong command line; it makes the program exit with 2.
func misuse(err error, fix string) error {
	return &fault{err: err, fix: fix, misuse: true}
}

func (f *fault) Error() string { return f.err.Error() + "\n  fix: " + f.fix }

func (f *fault) Unwrap() error { return f.err }
