// Package wait lets whoever waits say what for, and whoever runs a command show it. It knows
// neither.
package wait

import (
	"context"
	"fmt"
	"time"
)

// A Wait is what somebody waits for.
type Wait struct {
	What  string
	Since time.Time
	Limit time.Duration // 0: unknown
}

type key struct{}

// With returns a context whose waits are shown: show is called as each begins, and the function
// that it returns when that is over. A nil show ends that.
func With(ctx context.Context, show func(*Wait) (end func())) context.Context {
	return context.WithValue(ctx, key{}, show)
}

// For says that the caller waits until it calls end, at most for the limit; 0 is unknown.
func For(ctx context.Context, what string, limit time.Duration) (end func()) {
	if show, _ := ctx.Value(key{}).(func(*Wait) func()); show != nil {
		return show(&Wait{what, time.Now(), limit})
	}
	return func() {}
}

// String returns a text such as "waiting for coder: 5 s of 30 s".
func (w *Wait) String() string {
	text := fmt.Sprintf("waiting for %s: %d s", w.What, int(time.Since(w.Since).Seconds()))
	if w.Limit > 0 {
		text += fmt.Sprintf(" of %d s", int(w.Limit.Seconds()))
	}
	return text
}
