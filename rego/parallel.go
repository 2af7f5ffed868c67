package rego

import (
	"runtime"

	"golang.org/x/sync/errgroup"
)

// onAllProcessors does n things in no order, no more at once than there are processors,
// and returns when all are done.
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
