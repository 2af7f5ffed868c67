// Package scandir looks at the scan directory of s6: which slots are in it, who supervises
// them, what interrupted runs left, and how many gateways fit. It changes nothing but by the
// renames and removals that Dir offers to the executor.
package scandir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// StagingPrefix starts the names of what will become a slot or a part of one, and of
// slots that are being removed.
const StagingPrefix = ".hermes-reconcile-"

// LockName is the file in the scan directory that reconcilers lock.
const LockName = ".hermes-reconcile.lock"

// DownName is the down file; only its existence counts.
const DownName = "down"

// DownFile is the down file as it is written.
var DownFile = beneath.File{Name: DownName, Mode: 0o644}

// StagingName returns a new name below the scan directory that s6-svscan ignores.
func StagingName() string { return StagingPrefix + strings.ToLower(rand.Text()[:12]) }

// IsStaging reports whether an entry has a name of StagingName's.
func IsStaging(name string) bool { return strings.HasPrefix(name, StagingPrefix) }

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

// ErrForeign means that neither this program nor upstream's made a service directory.
var ErrForeign = errors.New("not made by hermes-reconcile")

// MustBeOwned fails when this program may not change a slot; the error then wraps
// ErrForeign.
func MustBeOwned(slot beneath.Dir, name string) error {
	ours, upstreams, err := madeBy(slot)
	if err == nil && !ours && !upstreams {
		err = fmt.Errorf("%s was %w: it has no %s", name, ErrForeign, scripts.MarkerName)
	}
	return err
}

// OpenOwned opens a slot that this program may change.
func OpenOwned(scan beneath.Dir, name string) (beneath.Dir, error) {
	slot, err := scan.OpenDir(name)
	if err != nil {
		return -1, fmt.Errorf("open slot: %w", err)
	}
	if err := MustBeOwned(slot, name); err != nil {
		slot.Close()
		return -1, err
	}
	return slot, nil
}

type Dir struct {
	beneath.Dir
	File *os.File // of Dir; reads the entries
}

func Open(path string) (*Dir, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{Dir: beneath.Dir(file.Fd()), File: file}, nil
}

// Close closes the directory; a missing one is nil.
func (s *Dir) Close() {
	if s != nil {
		_ = s.File.Close()
	}
}

// IsOurs reports whether a slot has our marker.
func (s *Dir) IsOurs(name string) bool {
	slot, err := s.OpenDir(name)
	if err != nil {
		return false
	}
	defer slot.Close()
	ours, _, err := madeBy(slot)
	return err == nil && ours
}

// Rename renames an entry. The error wraps EEXIST when the new name is taken.
func (s *Dir) Rename(from, to string) error {
	return unix.Renameat2(int(s.Dir), from, int(s.Dir), to, unix.RENAME_NOREPLACE)
}

func (s *Dir) Exchange(a, b string) error {
	return unix.Renameat2(int(s.Dir), a, int(s.Dir), b, unix.RENAME_EXCHANGE)
}

// RemoveTree removes what has a staging name. It fails when a supervisor holds the
// directory.
func (s *Dir) RemoveTree(name string) error {
	dir, err := s.OpenDir(name)
	if err == nil {
		err := MustBeFree(dir)
		dir.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(s.File.Name(), name), err)
		}
	}
	return s.RemoveAll(name)
}

// MustBeFree fails when a supervisor holds a service directory.
func MustBeFree(slot beneath.Dir) error {
	service, logger, err := supervise.Held(slot)
	if err == nil && (service || logger) {
		err = errors.New("a supervisor holds it by now; the next run goes on with it")
	}
	return err
}

// Scanner looks for the s6-svscan; a missing scan directory has none.
func (s *Dir) Scanner() supervise.Scanner {
	if s == nil {
		return supervise.Scanner{}
	}
	return supervise.FindScanner(s.Dir)
}

// Capacity is how many gateways fit into a scan directory with these entries.
func (s *Dir) Capacity(found supervise.Scanner, entries []fs.DirEntry) policy.Capacity {
	used, others, watches := 0, 0, 0
	for _, entry := range entries {
		places := supervise.Places(s.Dir, entry)
		used += places
		switch name := entry.Name(); {
		case name == policy.WatchSlot: // takes the place of a gateway
			watches = 1
		case !strings.HasPrefix(name, policy.SlotPrefix):
			others += places
		}
	}
	c := supervise.Capacity(found, used, others)
	c.Gateways = max(0, c.Gateways-watches)
	return c
}
