package volume

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
)

// writeFile writes a file under a dot name and calls place, which gives it its
// name. An error leaves nothing behind, a killed run at most the file with the
// dot name, which a later run removes.
func writeFile(fd beneath.Dir, name string, text []byte, mode uint32, place func(temp string) error) error {
	removeLeftovers(fd)
	temp := "." + name + "." + rand.Text() + ".tmp"
	err := writeTemp(fd, temp, text, mode)
	if reason, ok := errors.AsType[unix.Errno](err); ok { // without the random name: the same each time
		err = reason
	}
	if err == nil {
		err = place(temp)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(fd, temp))
	}
	return syncDir(fd)
}

func writeTemp(fd beneath.Dir, temp string, text []byte, mode uint32) (err error) {
	opened, err := fd.OpenFile(temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(opened), temp)
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Sync()
}

// renameNew gives temp its name. File systems without a rename that refuses to
// replace have links that do.
func renameNew(fd beneath.Dir, temp, name string) error {
	err := unix.Renameat2(int(fd), temp, int(fd), name, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		if err := unix.Linkat(int(fd), temp, int(fd), name, 0); err != nil {
			return fmt.Errorf("link: %w", err)
		}
		return fd.Remove(temp)
	}
	return err
}

func renameOver(fd beneath.Dir, from, to string) error {
	if err := unix.Renameat(int(fd), from, int(fd), to); err != nil {
		return fmt.Errorf("rename to %s: %w", to, err)
	}
	return nil
}

func removeIfThere(fd beneath.Dir, name string) error {
	if err := fd.Remove(name); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// removeLeftovers looks at this many entries, and removes leftovers of this age: a younger
// one may belong to a run that is still writing.
const (
	maxLeftoverEntries = 4096
	leftoverAge        = time.Minute
)

// removeLeftovers removes the temporary files that killed runs left in the directory. It
// ignores errors, because they do not prevent the write that follows.
func removeLeftovers(fd beneath.Dir) {
	opened, err := fd.Open(".", listFlags)
	if err != nil {
		return
	}
	names, _ := beneath.Names(opened, maxLeftoverEntries)
	for _, name := range names {
		if !leftover().MatchString(name) {
			continue
		}
		st, err := fd.Lstat(name)
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && time.Since(time.Unix(st.Mtim.Unix())) > leftoverAge {
			_ = removeIfThere(fd, name)
		}
	}
}

// leftover matches the temporary names of the files that are written so.
var leftover = policy.Pattern(`^\.(` + regexp.QuoteMeta(policy.StateFile) + "|" + regexp.QuoteMeta(policy.PlannedStopFile) + "|" +
	regexp.QuoteMeta(path.Base(policy.RestartHoldFile)) + "|" + regexp.QuoteMeta(path.Base(policy.LeaseFile)) + `)\.[A-Z2-7]{26,}\.tmp$`)

// syncDir makes a new name survive a crash, on file systems that can.
func syncDir(fd beneath.Dir) error {
	opened, err := fd.Open(".", listFlags)
	if err != nil {
		return nil
	}
	defer unix.Close(opened)
	_ = unix.Fsync(opened)
	return nil
}
