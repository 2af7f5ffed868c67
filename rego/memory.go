package rego

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"time"
)

// errMemory is the cause of a context that limitMemory has ended.
var errMemory = errors.New("the memory limit of the rules")

// memoryInterval is how often limitMemory measures. A rule allocates some hundred MB a
// second at most.
const memoryInterval = 5 * time.Millisecond

// limitMemory returns a context that ends with errMemory once the heap has grown by
// more than the given bytes. It is for rules that run in this process; the kernel limits
// the process of the rules. Everything that allocates beside the rules counts too. The
// caller calls the returned function to end measuring.
func limitMemory(ctx context.Context, bytes int64) (context.Context, func()) {
	limited, cancel := context.WithCancelCause(ctx)
	limit := heapInUse() + uint64(bytes)
	go func() {
		for limited.Err() == nil {
			time.Sleep(memoryInterval)
			if heapInUse() <= limit {
				continue
			}
			runtime.GC() // garbage does not count
			if heapInUse() > limit {
				cancel(errMemory)
			}
		}
	}()
	return limited, func() { cancel(nil) }
}

func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
