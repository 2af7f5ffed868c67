package s6

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// update replaces files of a slot, each by one rename, so that neither s6-supervise nor
// a shell ever sees a part of one. run, finish and log/run take effect at their next
// start; update stops nothing.
func (x *execution) update(_ context.Context, op policy.Operation) (bool, error) {
	files, err := x.render.files(op.Profile, op.Env, op.Restart)
	if err != nil {
		return false, err
	}
	slotfd, err := openOwned(x.scan.fd, op.Slot)
	if err != nil {
		return false, err
	}
	defer unix.Close(slotfd)
	for _, f := range files {
		if !slices.Contains(op.Files, f.Name) {
			continue
		}
		if f.Name == "run" {
			if err := x.replaceFile(slotfd, file{Name: changedName, Mode: 0o644}); err != nil {
				return false, err
			}
		}
		if err := x.replaceFile(slotfd, f); err != nil {
			return false, err
		}
	}
	return true, nil
}

// replaceFile makes the file under a staging name in the scan directory, where the next
// run finds the leftover of an interrupted one, and renames it over the old file.
func (x *execution) replaceFile(slotfd int, f file) error {
	dir, base := path.Split(f.Name)
	at := slotfd
	if dir != "" {
		fd, err := x.subdirectory(slotfd, path.Clean(dir))
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		at = fd
	}
	staging := x.stagingName()
	err := x.makeFile(x.scan.fd, file{Name: staging, Mode: f.Mode, Content: f.Content})
	if err == nil {
		err = unix.Renameat(x.scan.fd, staging, at, base)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", f.Name, err), x.scan.root.RemoveAll(staging))
	}
	return nil
}

// subdirectory opens a directory of a slot. It makes the directory data, which
// upstream's slots lack; it never adds a logger to a supervised slot.
func (x *execution) subdirectory(slotfd int, name string) (int, error) {
	if name == path.Dir(markerName) {
		if err := x.makeDirectory(slotfd, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, err
		}
	}
	fd, err := openDirectory(slotfd, name)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", name, err)
	}
	return fd, nil
}

// markDown makes the down file. s6-supervise reads it when it starts, so a running
// gateway goes on until it is stopped. When this user cannot make it, the supervisor
// of a gateway that is down does.
func (x *execution) markDown(ctx context.Context, op policy.Operation) (bool, error) {
	slotfd, err := openOwned(x.scan.fd, op.Slot)
	if err != nil {
		return false, err
	}
	defer unix.Close(slotfd)
	done, err := x.makeDown(slotfd)
	if isForbidden(err) && !x.Root {
		return x.bySupervisor(ctx, slotfd, "D", err)
	}
	return done, err
}

func (x *execution) makeDown(slotfd int) (bool, error) {
	err := x.makeFile(slotfd, file{Name: downName, Mode: 0o644})
	if errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	return err == nil, err
}

// clearDown removes the down file.
func (x *execution) clearDown(ctx context.Context, op policy.Operation) (bool, error) {
	slotfd, err := openOwned(x.scan.fd, op.Slot)
	if err != nil {
		return false, err
	}
	defer unix.Close(slotfd)
	err = unix.Unlinkat(slotfd, downName, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case isForbidden(err) && !x.Root:
		return x.bySupervisor(ctx, slotfd, "U", err)
	case err != nil:
		return false, fmt.Errorf("remove %s: %w", downName, err)
	}
	return true, nil
}

// bySupervisor has the supervisor make ("D") or remove ("U") the down file. The error
// is that of the user's own attempt when there is no supervisor.
func (x *execution) bySupervisor(ctx context.Context, slotfd int, command string, forbidden error) (bool, error) {
	err := x.askSupervisor(ctx, slotfd, command)
	if errors.Is(err, errNobody) {
		return false, forbidden
	}
	if err != nil {
		return false, err
	}
	changed := poll(ctx, x.Wait, func() bool {
		downFile, err := exists(slotfd, downName)
		return err == nil && downFile == (command == "D")
	})
	if !changed {
		return false, errors.Join(fmt.Errorf("its supervisor has not changed the file %s after %v", downName, x.Wait), ctx.Err())
	}
	return true, nil
}

// isForbidden reports whether this user may not do it.
func isForbidden(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}
