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
// for as long as the process. The process is not ready before the sources of the
// controllers have synced.
func (r *Runtime) Add(runnable manager.Runnable) error {
	if r.election == nil || !needsElection(runnable) {
		return r.add(runnable)
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

func (r *Runtime) add(runnable manager.Runnable) error {
	c, ok := runnable.(controller)
	if !ok {
		return r.Manager.Add(runnable)
	}
	ready := r.startup.part()
	err := r.Manager.Add(awaited{controller: c, ready: ready})
	if err != nil {
		ready()
	}
	return err
}

// controller is what controller-runtime itself tells controllers by.
type controller interface {
	manager.Runnable
	// Warmup starts the sources and waits for them to sync.
	Warmup(ctx context.Context) error
}

// needsElection reports whether controller-runtime would start a runnable only
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
