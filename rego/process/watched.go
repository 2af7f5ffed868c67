package process

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// Watched are rules for many passes. They are compiled again only when a file of the
// operator's changed.
type Watched struct {
	*Rules
	Places []string // from which the operator's rules are read

	stamp   string
	present engine.Evaluator
	kept    string // the revision that was kept last
	refused []policy.Alarm
}

// Refresh checks rules that changed before they are used. If they have a mistake, or are gone,
// the present ones stay in force, and the alarm says so.
func (w *Watched) Refresh(ctx context.Context) []policy.Alarm {
	stamp := w.stampOf()
	if w.present == nil || stamp == w.stamp {
		return w.refused
	}
	w.stamp, w.refused = stamp, nil
	next := &Rules{Configure: w.Configure}
	loaded, err := next.Load(ctx)
	if err != nil {
		next.Close()
		w.refused = []policy.Alarm{{Code: policy.CodePolicyRefused, Reason: "the changed rules cannot be used, and those before decide: " + err.Error()}}
		return w.refused
	}
	w.Rules.Close()
	w.Rules, w.present = next, loaded
	return nil
}

// LoadOrFallBack is that of Rules.
func (w *Watched) LoadOrFallBack(ctx context.Context) (engine.Evaluator, error) {
	if w.present != nil && (w.refused != nil || w.stampOf() == w.stamp) {
		return w.present, nil
	}
	stamp := w.stampOf()
	var err error
	w.present, err = w.Rules.LoadOrFallBack(ctx)
	w.stamp = stamp
	return w.present, err
}

// Keep is that of Rules, once for each revision.
func (w *Watched) Keep(ctx context.Context, e engine.Evaluator) error {
	revision := e.Status().Revision
	if revision == w.kept {
		return nil
	}
	err := w.Rules.Keep(ctx, e)
	if err == nil {
		w.kept = revision
	}
	return err
}

// stampOf changes whenever a file of the operator's does, whoever may write it, or
// the place to which a link leads.
func (w *Watched) stampOf() string {
	var stamp strings.Builder
	for _, dir := range w.Places {
		real, err := filepath.EvalSymlinks(dir) // a mounted ConfigMap has links to directories
		fmt.Fprintln(&stamp, dir, real, err)
		for above := real; above != filepath.Dir(above); above = filepath.Dir(above) {
			if info, err := os.Lstat(filepath.Dir(above)); err == nil {
				fmt.Fprintln(&stamp, writers(info))
			}
		}
		_ = filepath.WalkDir(real, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				fmt.Fprintln(&stamp, path, err)
				return nil
			}
			if info, err := entry.Info(); err == nil {
				fmt.Fprintln(&stamp, path, info.Size(), info.ModTime(), writers(info))
			}
			return nil
		})
	}
	return stamp.String()
}

// writers says who may write a file.
func writers(info fs.FileInfo) string {
	st, _ := info.Sys().(*syscall.Stat_t)
	return fmt.Sprint(st.Uid, st.Gid, info.Mode())
}
