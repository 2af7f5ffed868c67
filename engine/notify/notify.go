// Package notify tells what changes in directories, by inotify. An event may be lost, so the
// caller looks again by itself from time to time.
package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/fsnotify/fsnotify"
)

// Watch calls changed with the path of each file that is made, written, renamed or removed in
// directories, or gets another mode, until ctx ends. Changed gets "" when events were lost. Dirs
// returns the directories; they are asked for again when a directory in one of them comes or
// goes. A directory that does not exist is left out. What is in a new directory may be older
// than its watch, so changed gets the directory too.
//
// The error is that of ctx, or that the kernel gives no events, for want of watches for example.
func Watch(ctx context.Context, dirs func() []string, changed func(path string)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("no inotify: %w", err)
	}
	defer w.Close()
	watched := map[string]bool{}
	if err := follow(w, dirs, watched, func(string) {}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.Errors:
			changed("")
		case event := <-w.Events:
			changed(event.Name)
			if !movesDirectory(event, watched) {
				continue
			}
			if err := follow(w, dirs, watched, changed); err != nil {
				return err
			}
		}
	}
}

// movesDirectory reports whether a directory came or went.
func movesDirectory(event fsnotify.Event, watched map[string]bool) bool {
	if event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
		return watched[event.Name]
	}
	if !event.Has(fsnotify.Create) {
		return false
	}
	info, err := os.Lstat(event.Name)
	return err == nil && info.IsDir()
}

// follow watches the present directories, and calls added with the new ones.
func follow(w *fsnotify.Watcher, dirs func() []string, watched map[string]bool, added func(string)) error {
	// A directory that was renamed is still watched, under its old name.
	clear(watched)
	for _, dir := range w.WatchList() {
		watched[dir] = true
	}
	wanted := dirs()
	for dir := range watched {
		if !slices.Contains(wanted, dir) {
			_ = w.Remove(dir) // gone already
			delete(watched, dir)
		}
	}
	for _, dir := range wanted {
		if watched[dir] {
			continue
		}
		err := w.Add(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", dir, err)
		}
		watched[dir] = true
		added(dir)
	}
	return nil
}
