package volume

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// stateMode lets everybody read the state file, as upstream's has it.
const stateMode = 0o644

// seededState is the state file as upstream writes it for a new profile.
type seededState struct {
	Gateway      string `json:"gateway_state"`
	Desired      string `json:"desired_state"`
	UpdatedAt    int64  `json:"updated_at"` // seconds since 1970
	MigratedFrom string `json:"migrated_from,omitempty"`
}

// seed writes a state file where there is none. One that is there, of whatever
// kind, stays: then there was nothing to do.
func (e *Executor) seed(dir *directory, op policy.Operation) (bool, error) {
	if op.Seed == nil || (op.Seed.State != "running" && op.Seed.State != "stopped") {
		return false, errors.New(`it has no state, want "running" or "stopped"`)
	}
	now := time.Now
	if e.Now != nil {
		now = e.Now
	}
	text, err := json.Marshal(seededState{
		Gateway: op.Seed.State, Desired: op.Seed.State,
		UpdatedAt: now().Unix(), MigratedFrom: op.Seed.MigratedFrom,
	})
	if err != nil {
		return false, err
	}
	err = dir.use("write", stateFile, func(fd int) error { return writeNew(fd, stateFile, append(text, '\n'), stateMode) })
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, unwrapPath(err)
}

// writeNew writes a file that is complete as soon as it has its name, and never
// replaces one: where there is something already the error is fs.ErrExist.
func writeNew(fd int, name string, text []byte, mode uint32) error {
	temp := "." + name + "." + rand.Text() + ".tmp"
	if err := writeTemp(fd, temp, text, mode); err != nil {
		return errors.Join(err, removeIfThere(fd, temp))
	}
	if err := renameNew(fd, temp, name); err != nil {
		return errors.Join(err, removeIfThere(fd, temp))
	}
	return syncDir(fd)
}

func writeTemp(fd int, temp string, text []byte, mode uint32) (err error) {
	opened, err := openBeneath(fd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(opened), temp)
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Chmod(os.FileMode(mode)); err != nil { // not subject to the umask
		return err
	}
	return f.Sync()
}

// renameNew gives temp its name. File systems without a rename that refuses to
// replace have links that do.
func renameNew(fd int, temp, name string) error {
	err := unix.Renameat2(fd, temp, fd, name, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		if err := unix.Linkat(fd, temp, fd, name, 0); err != nil {
			return fmt.Errorf("link: %w", err)
		}
		return unix.Unlinkat(fd, temp, 0)
	}
	return err
}

func removeIfThere(fd int, name string) error {
	if err := unix.Unlinkat(fd, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// syncDir makes the name last. Some file systems cannot, and the file is there
// all the same.
func syncDir(fd int) error {
	opened, err := openListing(fd, ".")
	if err != nil {
		return nil
	}
	defer unix.Close(opened)
	_ = unix.Fsync(opened)
	return nil
}
