package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"hermes-reconcile/engine/status"
)

// A Watch is what can be asked of a watch. It is safe for concurrent use.
type Watch struct {
	Page   http.Handler // of the address alone; nil: there is none
	resync func() time.Duration
	again  time.Duration // from one attempt to listen to the next

	mutex    sync.Mutex
	looked   time.Time // or when the watch began
	passes   map[string]int
	triggers map[string]int
	changed  int
	took     time.Duration
	failed   bool             // the last pass
	status   *status.Document // of the last pass that decided; nil when none has
	text     []byte           // the metrics since the last pass; nil until somebody asks
}

// A Pass is a pass that is over.
type Pass struct {
	Triggers []string // why it looked
	Took     time.Duration
	Failed   bool             // something went wrong
	Changed  int              // operations that were done
	Status   *status.Document // what was decided, beside what runs; nil when nothing was decided
}

// NewWatch begins a watch that looks at least once in resync, which may change.
func NewWatch(resync func() time.Duration) *Watch {
	return &Watch{
		resync: resync, again: time.Minute, looked: time.Now(),
		passes: map[string]int{"done": 0, "failed": 0}, triggers: map[string]int{},
	}
}

// Passed notes a pass. The document must not change afterwards.
func (w *Watch) Passed(p Pass) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.looked, w.failed, w.text = time.Now(), p.Failed, nil
	if p.Failed {
		w.passes["failed"]++
	} else {
		w.passes["done"]++
	}
	for _, kind := range p.Triggers {
		w.triggers[kind]++
	}
	w.changed += p.Changed
	w.took += p.Took
	if p.Status != nil {
		w.status = p.Status
	}
}

// metrics returns the text of the metrics. It is made once after each pass, so who asks
// often costs the watch neither time nor memory.
func (w *Watch) metrics() ([]byte, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.text != nil {
		return w.text, nil
	}
	all := families{}
	if w.status != nil {
		all = metricsOf(w.status)
	}
	w.add(all)
	var text bytes.Buffer
	if err := all.write(&text); err != nil {
		return nil, err
	}
	w.text = text.Bytes()
	return w.text, nil
}

func (w *Watch) add(to families) {
	for _, result := range slices.Sorted(maps.Keys(w.passes)) {
		to.counter("watch_passes_total", "Passes of the watch that are over.", float64(w.passes[result]), label{"result", result})
	}
	for _, kind := range slices.Sorted(maps.Keys(w.triggers)) {
		to.counter("watch_triggers_total", "Kinds of triggers of the passes.", float64(w.triggers[kind]), label{"kind", kind})
	}
	to.counter("watch_changes_total", "Operations that passes of the watch did.", float64(w.changed))
	to.counter("watch_pass_seconds_total", "How long all passes of the watch took.", w.took.Seconds())
}

// notAlive returns why the watch does not work, or "".
func (w *Watch) notAlive() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if since := time.Since(w.looked); since > status.WatchMisses*w.resync() {
		return fmt.Sprintf("the watch has not looked for %s", since.Round(time.Second))
	}
	return ""
}

// notReady returns why what should run may not run, or "".
func (w *Watch) notReady() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	switch {
	case w.passes["done"]+w.passes["failed"] == 0:
		return "the first pass is not over"
	case w.failed:
		return "something went wrong in the last pass"
	case w.status == nil || !w.status.Volume.Readable:
		return "the volume cannot be read"
	}
	return ""
}
