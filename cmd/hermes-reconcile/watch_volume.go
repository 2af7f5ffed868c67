package main

import (
	"context"
	"errors"

	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
)

// errUnseen is why changes on the volume are not seen although the kernel has inotify.
var errUnseen = errors.New("the file system tells nothing of changes, not even of those made here; it is looked at every watch.resync")

// watchVolume turns changes on the volume into triggers.
func (w *watcher) watchVolume(ctx context.Context) error {
	child, err := openVolume(w.current(), policy.PhaseApply)
	if err != nil {
		return err
	}
	defer child.Close()
	for {
		keys, err := child.Events(ctx, w.times().Resync)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, remote.ErrNoEvents):
			w.quiet(watch.Volume, err)
		case err != nil:
			return err
		case !child.EventsSeen():
			w.quiet(watch.Volume, errUnseen)
		default:
			w.quiet(watch.Volume, nil)
		}
		for _, key := range keys {
			w.trigger(ctx, watch.Trigger{Kind: watch.Volume, Key: key})
		}
	}
}
