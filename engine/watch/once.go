package watch

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// A once is a slog.Handler that says what is wrong once, and not at every pass, and says when
// it is over.
type once struct {
	slog.Handler
	mutex  sync.Mutex
	before map[string]bool // the texts of the last pass
	now    map[string]bool // and of this one
}

func newOnce(h slog.Handler) *once {
	return &once{Handler: h, before: map[string]bool{}, now: map[string]bool{}}
}

// Handle passes a record on unless the last pass, or this one, had it too.
func (o *once) Handle(ctx context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		text.WriteString(" " + a.String())
		return true
	})
	o.mutex.Lock()
	known := o.before[text.String()] || o.now[text.String()]
	o.now[text.String()] = true
	o.mutex.Unlock()
	if known {
		return nil
	}
	return o.Handler.Handle(ctx, r)
}

// passed ends a pass.
func (o *once) passed(log *slog.Logger) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for text := range o.before {
		if !o.now[text] {
			log.Info("over", "was", text)
		}
	}
	o.before, o.now = o.now, map[string]bool{}
}
