package rego

import (
	"runtime"

	"golang.org/x/sync/errgroup"
)

// onAllProcessors calls do for 0 to n-1 in no order, at most one call per processor at
// a time, and returns when all calls have returned.
func onAllProcessors(n int, do func(i int)) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = group.Wait()
}
