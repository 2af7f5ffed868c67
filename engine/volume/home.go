// Package volume is the only package that opens files on the volume: the home with its
// profiles, which the agents themselves can write. It reaches a file there without
// following a link, sweeps and seeds, records an operator's intent and a hold, and appends
// to logs. What the files mean is the business of engine/facts.
//
// Everything below the home goes through directory descriptors. No link is
// followed in any component, no open blocks, and only regular files are read.
package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// MaxProfiles bounds how many named profiles are listed. The fact "profiles_dir" reports
// when there are more.
const MaxProfiles = 20000

// profilesDir holds the named profiles, relative to the home.
const profilesDir = "profiles"

// dirFlags open a directory as the base of other names. They need no permission to list
// it, and fail with ENOTDIR on a link and on anything else but a directory.
const dirFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// listFlags open a directory to list it.
const listFlags = unix.O_RDONLY | unix.O_DIRECTORY

// A Home is the volume. It is safe for concurrent use.
type Home struct {
	path  string
	root  *directory
	limit int // MaxProfiles, or less in a test

	// beforeRename lets a test do something before a state file is replaced.
	beforeRename func()

	mu     sync.Mutex
	listed policy.ProfilesDir
}

// Open opens the home. The path itself belongs to the operator and may lead
// through links; nothing below it may.
func Open(home string) (*Home, error) {
	file, err := os.OpenFile(home, dirFlags&^unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open home", Path: home, Err: unwrapPath(err)}
	}
	root := &directory{profile: policy.Profile{Name: policy.RootProfile, Dir: "."}, file: file}
	return &Home{path: home, root: root, limit: MaxProfiles}, nil
}

// Close closes the home. Directories that were opened before stay usable.
func (h *Home) Close() { h.root.close() }

// Path returns the path of the home as it was given to Open.
func (h *Home) Path() string { return h.path }

// Root returns the directory of the home itself, which is that of the root
// profile. It is open as long as the Home is.
func (h *Home) Root() policy.Directory { return h.root }

// Profiles returns the root profile and every entry of "profiles" that is a
// directory or a link, sorted by name and at most MaxProfiles of them. A directory that
// cannot be listed is a fact of ProfilesDir, not an error: the root profile always exists.
// The error is that of ctx.
func (h *Home) Profiles(ctx context.Context) ([]policy.Profile, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, listed := h.list()
	profiles := []policy.Profile{h.root.profile}
	for _, entry := range entries {
		profiles = append(profiles, policy.Profile{Name: policy.ProfileName(entry), Dir: profilesDir + "/" + entry})
	}
	slices.SortFunc(profiles, func(a, b policy.Profile) int { return strings.Compare(a.Name, b.Name) })

	h.mu.Lock()
	defer h.mu.Unlock()
	h.listed = listed
	return profiles, nil
}

// ProfilesDir describes the last listing by Profiles. It lists the profiles if they were not
// listed yet. The error is that of ctx.
func (h *Home) ProfilesDir(ctx context.Context) (policy.ProfilesDir, error) {
	h.mu.Lock()
	listed := h.listed
	h.mu.Unlock()
	if listed.Status != "" {
		return listed, nil
	}
	if err := ctx.Err(); err != nil {
		return listed, err
	}
	_, listed = h.list()
	return listed, nil
}

// list returns the entries that are profiles, and how listing them went.
func (h *Home) list() (entries []string, dir policy.ProfilesDir) {
	dir.Status = policy.StatusRecorded
	fd, err := h.root.openAt(profilesDir, listFlags)
	if err == nil {
		entries, err = h.read(fd, &dir)
	}
	dir.Entries = len(entries)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir.Status = policy.StatusMissing
	case errors.Is(err, policy.ErrNotRegular):
		dir.Status, dir.Error = policy.StatusUnreadable, "not a directory, or a link to one"
	case err != nil:
		dir.Status, dir.Error = policy.StatusUnreadable, unwrapPath(err).Error()
	case len(entries) == 0:
		dir.Status = policy.StatusEmpty
	}
	return entries, dir
}

// read reads the open directory of the profiles, and closes it.
func (h *Home) read(fd int, dir *policy.ProfilesDir) (entries []string, err error) {
	// By this path go 1.26.0 asks for a kind that the file system does not report.
	open := os.NewFile(uintptr(fd), "/proc/self/fd/"+strconv.Itoa(fd))
	defer open.Close()
	for {
		some, err := open.ReadDir(256)
		for _, entry := range some {
			switch kind := entry.Type(); {
			case kind != fs.ModeDir && kind != fs.ModeSymlink:
				dir.Others++
			case len(entries) == h.limit:
				dir.Truncated = true
				return entries, nil
			default:
				entries = append(entries, entry.Name())
			}
		}
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return entries, err
		}
	}
}

// Open opens the directory of a profile without following a link. A profile that is a link
// or another kind of file is opened too: its Lstat of "." describes it, and every other call
// fails with policy.ErrNotRegular. In a directory without permission to search, every call
// fails with that error. Open itself fails only when nothing has that name. A file that is
// created after the first use of the directory may be reported as missing. The caller calls
// the returned function when it is done.
func (h *Home) Open(p policy.Profile) (policy.Directory, func(), error) {
	d, err := h.open(p)
	if err != nil {
		return nil, nil, err
	}
	d.listed = true
	return d, d.close, nil
}

func (h *Home) open(p policy.Profile) (*directory, error) {
	d := &directory{profile: p}
	fd, err := h.root.openAt(p.Dir, dirFlags)
	switch {
	case err == nil:
		d.file = os.NewFile(uintptr(fd), p.Dir)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("profile %s: %w", p.Name, err)
	default:
		d.broken = unwrapPath(err)
		d.self, _ = h.root.Lstat(p.Dir)
	}
	return d, nil
}

// openNamed opens the directory of a profile. The error wraps fs.ErrNotExist unless there is a
// directory or a link of that name.
func (h *Home) openNamed(name string) (*directory, error) {
	p, ok := policy.ProfileNamed(name)
	if !ok {
		return nil, fmt.Errorf("profile %s: %w", name, fs.ErrNotExist)
	}
	d, err := h.open(p)
	if err == nil && d.self != nil && !d.self.IsDir() && d.self.Mode()&fs.ModeSymlink == 0 {
		err = fmt.Errorf("profile %s: %w", name, fs.ErrNotExist)
	}
	return d, err
}

// unwrapPath removes the path from an error whose caller adds its own.
func unwrapPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
