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
	"strings"

	"github.com/fsnotify/fsnotify"
)

// Watch calls changed with the path of each file that is made, written, renamed or removed in
// directories, or gets another mode, until ctx ends. Changed gets "" when events were lost. Dirs
// returns the directories; they are asked for again when a directory in one of them comes or
// goes. A directory that does not exist is left out. What is in a directory may have changed
// before its watch began, so changed gets each directory when it is watched.
//
// The error is that of ctx, or that the kernel gives no events, for want of watches for example.
func Watch(ctx context.Context, dirs func() []string, changed func(path string)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("no inotify: %w", err)
	}
	defer w.Close()
	watched := map[string]bool{}
	if err := follow(w, dirs, watched, changed); err != nil {
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
			forget(w, event.Name)
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

// forget ends the watches of a directory and of those in it. The library takes a directory that
// was renamed for the old one, and one that was deleted and made again for the new one: the
// kernel tells late that a deleted directory is gone while somebody has it open.
func forget(w *fsnotify.Watcher, gone string) {
	for _, dir := range w.WatchList() {
		if dir == gone || strings.HasPrefix(dir, gone+"/") {
			_ = w.Remove(dir) // gone already
		}
	}
}

// follow watches the present directories, and calls added with the new ones. In each of these
// another one may be older than its watch, so it asks until there is no new one.
func follow(w *fsnotify.Watcher, dirs func() []string, watched map[string]bool, added func(string)) error {
	clear(watched)
	for _, dir := range w.WatchList() {
		watched[dir] = true
	}
	for more := true; more; {
		wanted := dirs()
		slices.Sort(wanted)
		for dir := range watched {
			if _, found := slices.BinarySearch(wanted, dir); !found {
				_ = w.Remove(dir) // gone already
				delete(watched, dir)
			}
		}
		var err error
		if more, err = add(w, wanted, watched, added); err != nil {
			return err
		}
	}
	return nil
}

// add watches the directories that are not watched yet, and reports whether there were any.
func add(w *fsnotify.Watcher, wanted []string, watched map[string]bool, added func(string)) (more bool, err error) {
	for _, dir := range wanted {
		if watched[dir] {
			continue
		}
		err := w.Add(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("watch %s: %w", dir, err)
		}
		watched[dir], more = true, true
		added(dir)
	}
	return more, nil
}
