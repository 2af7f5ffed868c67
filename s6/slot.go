package s6

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// slotPrefix starts the name of every slot.
const slotPrefix = "gateway-"

// maxProfile is the length in bytes of the longest profile name. Its slot has a name of
// 250 bytes, and s6-svscan skips names over 251. Upstream's staging name,
// .gateway-<profile>.tmp, has the most that a file system allows, 255.
const maxProfile = 242

// stagingPrefix starts the names of what will become a slot or a part of one, and of
// slots that are being removed.
const stagingPrefix = ".hermes-reconcile-"

// lockName is the file that reconcilers lock.
const lockName = ".hermes-reconcile.lock"

// markerName is the file that only slots of ours have.
const markerName = "data/hermes-reconcile.json"

// downName is the down file; only its existence counts.
const downName = "down"

// isUpstreamStaging reports whether upstream's program builds slots under this name.
func isUpstreamStaging(name string) bool {
	return strings.HasPrefix(name, "."+slotPrefix) && strings.HasSuffix(name, ".tmp")
}

// checkProfile fails when a profile of this name can have no slot.
func checkProfile(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the profile has no name")
	case len(name) > maxProfile:
		return fmt.Errorf("the name has %d bytes, a slot takes at most %d", len(name), maxProfile)
	case strings.HasPrefix(name, "-"):
		return fmt.Errorf("the name starts with -, the gateway's command would take it for an option")
	case !utf8.ValidString(name), strings.ContainsAny(name, `/"`), strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("the name cannot be the name of a slot and an argument, want printable characters without / and \"")
	}
	return nil
}

// An origin is the program that made a service directory.
type origin int

const (
	originForeign  origin = iota // left alone
	originOurs                   // has our marker
	originUpstream               // upstream's layout
)

// originOf looks at a service directory. Upstream's slots have a type file, no
// marker, and a run script that starts a gateway.
func originOf(slotfd int) (origin, error) {
	var st unix.Stat_t
	fd, err := openBeneath(slotfd, markerName, unix.O_PATH)
	if err == nil {
		defer unix.Close(fd)
		if err := unix.Fstat(fd, &st); err != nil {
			return originForeign, err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			return originOurs, nil
		}
		return originForeign, nil
	}
	if err != unix.ELOOP && !isAbsent(err) {
		return originForeign, fmt.Errorf("open %s: %w", markerName, err)
	}
	kind, err := readRegular(slotfd, "type")
	if err != nil || strings.TrimSpace(string(kind)) != "longrun" {
		return originForeign, nil
	}
	run, err := readRegular(slotfd, "run")
	if err != nil || !strings.Contains(string(run), "gateway run") {
		return originForeign, nil
	}
	return originUpstream, nil
}

// openOwned opens a slot that this package may change. A directory of another origin
// is an error.
func openOwned(scanfd int, name string) (int, error) {
	fd, err := openDirectory(scanfd, name)
	if err != nil {
		return -1, fmt.Errorf("open slot: %w", err)
	}
	who, err := originOf(fd)
	if err == nil && who == originForeign {
		err = fmt.Errorf("%s was not made by hermes-reconcile: it has no %s", name, markerName)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// A scanDir is an open scan directory.
type scanDir struct {
	root *os.Root
	dir  *os.File
	fd   int
}

func openScanDir(path string) (*scanDir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	dir, err := root.Open(".")
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &scanDir{root: root, dir: dir, fd: int(dir.Fd())}, nil
}

func (s *scanDir) close() {
	_ = s.dir.Close()
	_ = s.root.Close()
}

// isOurs reports whether a slot has our marker.
func (s *scanDir) isOurs(name string) bool {
	fd, err := openDirectory(s.fd, name)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	who, err := originOf(fd)
	return err == nil && who == originOurs
}

// removeTree removes a service directory that has a staging name. It fails when a
// supervisor holds the directory.
func (s *scanDir) removeTree(name string) error {
	fd, err := openDirectory(s.fd, name)
	if err == nil {
		held, err := supervisionOf(fd)
		_ = unix.Close(fd)
		if err != nil {
			return err
		}
		if held.Any() {
			return fmt.Errorf("%s: a supervisor still holds it", filepath.Join(s.dir.Name(), name))
		}
	}
	return s.root.RemoveAll(name)
}

// SlotName is the name of the slot of a profile in the scan directory.
func SlotName(profile string) string { return slotPrefix + profile }

// causeOf is why a decision is as it is, in a few words.
func causeOf(d policy.Decision) string {
	if d.Reason != "" {
		return d.Reason
	}
	return d.Code
}
