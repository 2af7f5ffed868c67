package s6

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// stagingPrefix starts the names of what will become a slot or a part of one, and of
// slots that are being removed.
const stagingPrefix = ".hermes-reconcile-"

// lockName is the file in the scan directory that reconcilers lock.
const lockName = ".hermes-reconcile.lock"

// downName is the down file; only its existence counts.
const downName = "down"

var downFile = beneath.File{Name: downName, Mode: 0o644}

// stagingName returns a new name below the scan directory that s6-svscan ignores.
func stagingName() string { return stagingPrefix + strings.ToLower(rand.Text()[:12]) }

func isStaging(name string) bool { return strings.HasPrefix(name, stagingPrefix) }

// isUpstreamStaging reports whether upstream's program builds slots under this name.
func isUpstreamStaging(name string) bool {
	return strings.HasPrefix(name, "."+policy.SlotPrefix) && strings.HasSuffix(name, ".tmp")
}

// madeBy reports whether this program made a service directory, or upstream's. Slots of
// upstream's have a type file, no marker, and a run script that starts a gateway.
func madeBy(slot beneath.Dir) (ours, upstreams bool, err error) {
	fd, _, err := slot.OpenRegular(scripts.MarkerName, unix.O_RDONLY, 0)
	if err == nil {
		_ = unix.Close(fd)
		return true, false, nil
	}
	if !errors.Is(err, policy.ErrNotRegular) && !beneath.IsAbsent(err) {
		return false, false, fmt.Errorf("open %s: %w", scripts.MarkerName, err)
	}
	kind, err := slot.Read("type")
	if err != nil || strings.TrimSpace(string(kind)) != "longrun" {
		return false, false, nil
	}
	run, err := slot.Read("run")
	return false, err == nil && strings.Contains(string(run), "gateway run"), nil
}

// errForeign means that neither this program nor upstream's made a service directory.
var errForeign = errors.New("not made by hermes-reconcile")

// mustBeOwned fails when this package may not change a slot; the error then wraps
// errForeign.
func mustBeOwned(slot beneath.Dir, name string) error {
	ours, upstreams, err := madeBy(slot)
	if err == nil && !ours && !upstreams {
		err = fmt.Errorf("%s was %w: it has no %s", name, errForeign, scripts.MarkerName)
	}
	return err
}

// openOwned opens a slot that this package may change.
func openOwned(scan beneath.Dir, name string) (beneath.Dir, error) {
	slot, err := scan.OpenDir(name)
	if err != nil {
		return -1, fmt.Errorf("open slot: %w", err)
	}
	if err := mustBeOwned(slot, name); err != nil {
		slot.Close()
		return -1, err
	}
	return slot, nil
}

// A scanDir is an open scan directory.
type scanDir struct {
	beneath.Dir
	file *os.File // of Dir
}

func openScanDir(path string) (*scanDir, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &scanDir{Dir: beneath.Dir(file.Fd()), file: file}, nil
}

func (s *scanDir) close() { _ = s.file.Close() }

// isOurs reports whether a slot has our marker.
func (s *scanDir) isOurs(name string) bool {
	slot, err := s.OpenDir(name)
	if err != nil {
		return false
	}
	defer slot.Close()
	ours, _, err := madeBy(slot)
	return err == nil && ours
}

// rename renames an entry. The error wraps EEXIST when the new name is taken.
func (s *scanDir) rename(from, to string) error {
	return unix.Renameat2(int(s.Dir), from, int(s.Dir), to, unix.RENAME_NOREPLACE)
}

// exchange exchanges two entries.
func (s *scanDir) exchange(a, b string) error {
	return unix.Renameat2(int(s.Dir), a, int(s.Dir), b, unix.RENAME_EXCHANGE)
}

// removeTree removes what has a staging name. It fails when a supervisor holds the
// directory.
func (s *scanDir) removeTree(name string) error {
	dir, err := s.OpenDir(name)
	if err == nil {
		err := mustBeFree(dir)
		dir.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(s.file.Name(), name), err)
		}
	}
	return s.RemoveAll(name)
}

// mustBeFree fails when a supervisor holds a service directory.
func mustBeFree(slot beneath.Dir) error {
	service, logger, err := supervise.Held(slot)
	if err == nil && (service || logger) {
		err = errors.New("a supervisor holds it by now; the next run goes on with it")
	}
	return err
}

// causeOf is why a decision is as it is, in a few words.
func causeOf(d policy.Decision) string { return cmp.Or(d.Reason, d.Code) }
