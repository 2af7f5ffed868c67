package s6

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// A part of a slot or of a scan directory is a directory, FIFO or lock file that root's s6
// works with. Whoever can make names in one of the directories, or have a lock on one of
// the files, can lead root's s6 to other files or keep it from working.
type part struct {
	name       string
	kind, mode uint32
	group      bool // belongs to the group of the unprivileged user; else only root matters
	most       bool // a stricter mode is right too
}

// slotParts are the parts of a slot in the order in which they are made. s6-supervise
// leaves existing ones as they are; it would make them for root only. The group can write
// control commands, and every user can look at the status file. With Upstream ownership
// the group can also wait for events, and every user can look at the locks, for the price
// that such a user can become root. The slot of a held gateway is sealed, see controlName; for
// the lock of one that runs, see partsNow. The slot of the service is root's alone.
func (e *Executor) slotParts(slot string, held bool) []part {
	watch := slot == policy.WatchSlot
	event := part{kind: unix.S_IFDIR, mode: 0o700}
	lock := part{kind: unix.S_IFREG, mode: 0o600}
	if e.Upstream && !watch {
		event.mode, event.group, lock.mode = 0o3730, true, openLockMode
	}
	parts := []part{
		{name: ".", kind: unix.S_IFDIR, mode: 0o755},
		{name: "data", kind: unix.S_IFDIR, mode: 0o755},
		{name: "log", kind: unix.S_IFDIR, mode: 0o755},
	}
	for _, prefix := range []string{"", "log/"} {
		event.name, lock.name = prefix+"event", prefix+"supervise/lock"
		control := part{name: prefix + controlName, kind: unix.S_IFIFO, mode: controlMode, group: true}
		if watch || held && prefix == "" && e.guards() {
			control.mode, control.group = sealedMode, false
		}
		parts = append(parts,
			part{name: prefix + "supervise", kind: unix.S_IFDIR, mode: 0o711},
			control, lock, event,
		)
	}
	return parts
}

// partsNow are the parts of a slot that exists. Whoever can open the lock of a supervisor can
// have it as soon as the supervisor ends, and then no other one starts. So only root can, but
// for the time in which a supervisor has it: s6-svstat and s6-svok open it to look. That of
// a sealed slot and of a logger stays closed.
func (e *Executor) partsNow(dir beneath.Dir, slot string, held bool) []part {
	parts := e.slotParts(slot, held)
	runs, _, err := supervise.Service.Runs(dir)
	if err == nil && runs && !held && e.guards() && slot != policy.WatchSlot {
		parts[slices.IndexFunc(parts, func(p part) bool { return p.name == serviceLock })].mode = openLockMode
	}
	return parts
}

var serviceLock = supervise.Service.Lock

// openLockMode is the mode of a lock file that every user may look at.
const openLockMode = 0o644

// controlMode is the mode of a control FIFO that the user's group can write.
const controlMode = 0o620

// scanParts are the parts of a scan directory. s6-svscan makes most of them.
var scanParts = []part{
	{name: ".", kind: unix.S_IFDIR, mode: 0o755, most: true},
	{name: scandir.LockName, kind: unix.S_IFREG, mode: 0o600, most: true},
	{name: svscanDir, kind: unix.S_IFDIR, mode: 0o755, most: true},
	{name: supervise.Svscan.Control, kind: unix.S_IFIFO, mode: 0o600, most: true},
	{name: supervise.Svscan.Lock, kind: unix.S_IFREG, mode: 0o600, most: true},
}

// svscanDir is the directory of s6-svscan, which has scripts that s6-svscan runs as root.
const svscanDir = ".s6-svscan"

// strict reports whether parts must be root's alone.
func (e *Executor) strict() bool { return e.Root && !e.Upstream }

// faults are the parts that are not root's alone.
type faults struct {
	names []string // those that can be taken back
	owner string   // the first that belongs to another user; "" is none
	odd   error    // a part that is something else
}

// faultsOf compares the parts below a directory. A missing part is right: s6 makes it for
// root only.
func (e *Executor) faultsOf(dir beneath.Dir, parts []part) (f faults, err error) {
	for _, p := range parts {
		st, err := dir.Lstat(p.name)
		if beneath.IsAbsent(err) {
			continue
		}
		if err != nil {
			return f, fmt.Errorf("stat %s: %w", p.name, err)
		}
		switch mode := st.Mode & 0o7777; {
		case isOdd(st, p):
			f.odd = cmp.Or(f.odd, fmt.Errorf("%s is another kind of file, or has a second name", p.name))
		case st.Uid != 0:
			f.owner = cmp.Or(f.owner, fmt.Sprintf("%s belongs to uid %d", p.name, st.Uid))
			f.names = append(f.names, p.name)
		case p.group && int(st.Gid) != e.User.GID, p.most && mode&^p.mode != 0, !p.most && mode != p.mode:
			f.names = append(f.names, p.name)
		}
	}
	return f, nil
}

// make makes a part of a new slot. A new group clears some bits of the mode, so the mode
// comes last; it also does what the umask prevents.
func (x *execution) make(slot beneath.Dir, p part) (err error) {
	switch p.kind {
	case unix.S_IFDIR:
		err = slot.Mkdir(p.name, p.mode&0o777)
	case unix.S_IFIFO:
		if err = unix.Mknodat(int(slot), p.name, p.kind|p.mode, 0); err != nil {
			err = fmt.Errorf("make the FIFO %s: %w", p.name, err)
		}
	default:
		err = slot.Create(beneath.File{Name: p.name, Mode: p.mode})
	}
	if err != nil || !p.group {
		return err
	}
	if x.Root {
		if err := unix.Fchownat(int(slot), p.name, 0, x.User.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("give %s to group %d: %w", p.name, x.User.GID, err)
		}
	}
	if err := unix.Fchmodat(int(slot), p.name, p.mode, 0); err != nil {
		return fmt.Errorf("set the mode of %s: %w", p.name, err)
	}
	return nil
}

// takeBack makes the named parts root's alone, also while s6 works with them: each stays
// the file that it is. A process that has a file open keeps its descriptor.
func (x *execution) takeBack(ctx context.Context, dir beneath.Dir, parts []part, names []string) error {
	for _, p := range parts {
		if !slices.Contains(names, p.name) {
			continue
		}
		err := x.takePart(ctx, dir, p)
		for _, supervisor := range supervise.OfSlot {
			if err == nil && supervisor.Lock == p.name {
				err = x.renewLock(dir, supervisor)
			}
		}
		if err != nil {
			return fmt.Errorf("take %s back: %w", p.name, err)
		}
	}
	return nil
}

// renewLock replaces the lock file of a supervisor that does not run, so that no process that
// has the old one open keeps a supervisor from starting. Root has a lock on the old one
// meanwhile: a supervisor that starts just then ends, and the one that s6-svscan starts after
// a second takes the new file.
func (x *execution) renewLock(slot beneath.Dir, supervisor supervise.Process) error {
	name := supervisor.Lock
	fd, _, err := slot.OpenRegular(name, unix.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer unix.Close(fd)
	err = unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart})
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil // a supervisor has it
	case err != nil:
		return fmt.Errorf("lock %s: %w", name, err)
	}
	return x.replace(slot, beneath.File{Name: name, Mode: 0o600})
}

// openPart opens a part that is of its kind and has no second name.
func openPart(dir beneath.Dir, p part, flags int) (file *os.File, st unix.Stat_t, err error) {
	fd, err := dir.Open(p.name, flags)
	if err != nil {
		return nil, st, err
	}
	file = os.NewFile(uintptr(fd), p.name)
	err = unix.Fstat(fd, &st)
	if err == nil && isOdd(st, p) {
		err = errors.New("it is another kind of file, or has a second name")
	}
	if err != nil {
		file.Close()
	}
	return file, st, err
}

func isOdd(st unix.Stat_t, p part) bool {
	return st.Mode&unix.S_IFMT != p.kind || p.kind != unix.S_IFDIR && st.Nlink != 1
}

func (x *execution) takePart(ctx context.Context, dir beneath.Dir, p part) error {
	file, st, err := openPart(dir, p, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	fd := int(file.Fd())
	mode, gid := p.mode, 0
	if p.most {
		mode &= st.Mode
	}
	if p.group {
		gid = x.User.GID
	}
	if err := unix.Fchown(fd, 0, gid); err != nil {
		return err
	}
	if p.kind == unix.S_IFDIR && !p.most {
		// With the sticky bit the mode is still wrong, so the next run goes on after
		// an interruption.
		if err := unix.Fchmod(fd, mode|unix.S_ISVTX); err != nil {
			return err
		}
		if err := x.clean(ctx, file, p.name); err != nil {
			return err
		}
	}
	return unix.Fchmod(fd, mode)
}

// clean removes from a directory of a slot what another user left there: root's s6 would
// open it by its name. The directory is root's by now.
func (x *execution) clean(ctx context.Context, dir *os.File, where string) error {
	for {
		names, err := dir.Readdirnames(1024)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := cmp.Or(ctx.Err(), x.removeStrangers(beneath.Dir(dir.Fd()), where, name)); err != nil {
				return err
			}
		}
	}
}

// removeStrangers removes an entry that is not root's, or has a second name elsewhere. It
// leaves parts, which are taken back, and files of slots, which are replaced.
func (x *execution) removeStrangers(dir beneath.Dir, where, entry string) error {
	st, err := dir.Lstat(entry)
	if err != nil {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	if st.Uid == 0 && (kind == unix.S_IFDIR || st.Nlink == 1) {
		return nil
	}
	name := path.Join(where, entry)
	isPart := slices.ContainsFunc(x.slotParts("", false), func(p part) bool { return p.name == name })
	switch {
	case isPart, kind == unix.S_IFREG && slices.Contains(scripts.FileNames, name):
		return nil
	case kind != unix.S_IFDIR && name == scandir.DownName:
		return x.replace(dir, scandir.DownFile)
	}
	return dir.RemoveAll(entry)
}
