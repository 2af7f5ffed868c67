// Package wait lets whoever waits say what for, and whoever runs a command show it. It knows
// neither.
package wait

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Wait is under way from Begin to End. Its methods may be called from several goroutines.
type Wait struct {
	Since time.Time
	limit time.Duration // 0: unknown
	mutex sync.Mutex
	what  string
	end   func()
}

type key struct{}

// With returns a context whose waits are shown: show is called as each begins, and the function
// that it returns when that is over. A nil show ends that.
func With(ctx context.Context, show func(*Wait) (end func())) context.Context {
	return context.WithValue(ctx, key{}, show)
}

// Begin says that the caller waits for something, at most for the limit; 0 is unknown.
func Begin(ctx context.Context, what string, limit time.Duration) *Wait {
	w := &Wait{Since: time.Now(), limit: limit, what: what, end: func() {}}
	if show, _ := ctx.Value(key{}).(func(*Wait) func()); show != nil {
		w.end = show(w)
	}
	return w
}

// For changes what the caller waits for.
func (w *Wait) For(what string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.what = what
}

// End says that the wait is over.
func (w *Wait) End() { w.end() }

// At returns the text at a time, such as "waiting for coder: 5 s of 30 s".
func (w *Wait) At(now time.Time) string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	text := fmt.Sprintf("waiting for %s: %d s", w.what, int(now.Sub(w.Since).Seconds()))
	if w.limit > 0 {
		text += fmt.Sprintf(" of %d s", int(w.limit.Seconds()))
	}
	return text
}
