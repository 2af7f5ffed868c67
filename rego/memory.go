package rego

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// A memoryWatch stops queries when the program needs too much memory. The policy
// engine has no limit of its own, and what it allocates cannot be told apart from
// the rest, so the measure is how much more is in use than at the start.
type memoryWatch struct {
	limit uint64 // bytes in use at which it stops what runs
	done  chan struct{}

	mu      sync.Mutex
	over    bool
	running map[topdown.Cancel]bool
}

// memoryInterval is how often the watch looks. A rule allocates some hundred MB a
// second at most.
const memoryInterval = 5 * time.Millisecond

// watchMemory starts a watch that lets the program use more bytes than now. The
// caller ends it.
func watchMemory(more int64) *memoryWatch {
	w := &memoryWatch{
		limit:   heapInUse() + uint64(more),
		done:    make(chan struct{}),
		running: map[topdown.Cancel]bool{},
	}
	go w.watch()
	return w
}

func (w *memoryWatch) end() { close(w.done) }

func (w *memoryWatch) watch() {
	ticker := time.NewTicker(memoryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-ticker.C:
		}
		if heapInUse() <= w.limit {
			continue
		}
		runtime.GC() // what nobody uses any more does not count
		if heapInUse() > w.limit {
			w.stopAll()
			return
		}
	}
}

func (w *memoryWatch) stopAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for cancel := range w.running {
		cancel.Cancel()
	}
}

// stops registers a query to be stopped; the caller calls the returned function
// when it has ended.
func (w *memoryWatch) stops(cancel topdown.Cancel) func() {
	if w == nil {
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[cancel] = true
	if w.over {
		cancel.Cancel()
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.running, cancel)
	}
}

func (w *memoryWatch) exceeded() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
