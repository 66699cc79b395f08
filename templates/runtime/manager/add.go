package manager

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Add adds a runnable. With leader election one that needs it, which is
// controller-runtime's default, runs once in each term of this process, with a
// context that ends with the term; every other one, and every controller, runs
// for as long as the process.
func (r *Runtime) Add(runnable manager.Runnable) error {
	if r.election == nil || !needsElection(runnable) {
		return r.Manager.Add(runnable)
	}
	switch runnable.(type) {
	case *manager.Server:
		return errors.New("a server that serves only while leading cannot be started again in the next term; " +
			"leave OnlyServeWhenLeader out and wrap its handler in Election().HTTP")
	case controller:
		return errors.New("a controller cannot be started again in the next term; " +
			"leave NeedLeaderElection out of its options, its writes are fenced and Election().Gate makes it observe")
	}
	return r.Manager.Add(r.election.PerTerm(runnable))
}

// controller is what controller-runtime itself tells controllers by.
type controller interface {
	Warmup(ctx context.Context) error
}

// needsElection tells whether controller-runtime would start a runnable only
// when it is elected.
func needsElection(runnable manager.Runnable) bool {
	switch r := runnable.(type) {
	case manager.LeaderElectionRunnable:
		return r.NeedLeaderElection()
	case interface{ GetCache() cache.Cache }: // another cluster
		return false
	}
	return true
}
