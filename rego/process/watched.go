package process

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"hermes-reconcile/engine"
)

// Watched are rules for many passes. They are compiled again only when a file of the
// operator's changed.
type Watched struct {
	*Rules
	Directories []string // of the operator

	stamp   string
	present engine.Evaluator
}

// LoadOrFallBack is that of Rules.
func (w *Watched) LoadOrFallBack(ctx context.Context) (engine.Evaluator, error) {
	stamp := w.stampOf()
	if w.present != nil && stamp == w.stamp {
		return w.present, nil
	}
	var err error
	w.present, err = w.Rules.LoadOrFallBack(ctx)
	w.stamp = stamp
	return w.present, err
}

// stampOf changes whenever a file in the operator's directories does.
func (w *Watched) stampOf() string {
	var stamp strings.Builder
	for _, dir := range w.Directories {
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				fmt.Fprintln(&stamp, path, err)
				return nil
			}
			if info, err := entry.Info(); err == nil {
				fmt.Fprintln(&stamp, path, info.Size(), info.ModTime())
			}
			return nil
		})
	}
	return stamp.String()
}
