package volume

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
)

// logsDir is where the logs are, relative to the home.
const logsDir = "logs"

// lockWait is how long AppendLog waits for another run that writes the same log. A run
// holds the lock for one write, so a longer hold is not that of a run.
const lockWait = 2 * time.Second

// AppendLog appends text to the log logs/<name> of the home with one write. It creates the
// file and the directory if they are missing. A log that would grow beyond rotateAt bytes is
// renamed to <name>.1 first, which replaces an older one. If an interrupted run left the
// last line without its end, AppendLog ends that line first.
//
// Several processes may call it at once: no line is lost or mixed with another. The file
// must be regular and have a single name, so that AppendLog writes to no file outside the
// log directory. When only the rotation fails, the text is in the log and the error is that
// of the rotation.
func (h *Home) AppendLog(name string, text []byte, rotateAt int64) error {
	if strings.Contains(name, "/") {
		return fmt.Errorf("log %q: want the name of a file", name)
	}
	return h.root.use("append", logsDir+"/"+name, func(home beneath.Dir) error {
		logs, err := openLogs(home)
		if err != nil {
			return err
		}
		defer logs.Close()
		unlock, locked := lockLog(logs, name)
		defer unlock()
		return appendLog(logs, name, text, rotateAt, locked)
	})
}

// AppendFile appends text to a file as AppendLog does. The caller trusts the directory.
func AppendFile(path string, text []byte, rotateAt int64) error {
	dir, err := beneath.OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	unlock, locked := lockLog(dir, filepath.Base(path))
	defer unlock()
	return appendLog(dir, filepath.Base(path), text, rotateAt, locked)
}

func openLogs(home beneath.Dir) (beneath.Dir, error) {
	if err := home.Mkdir(logsDir, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	return home.OpenDir(logsDir)
}

// lockLog takes the lock of a log. An append without the lock is safe, because the system
// appends whole writes; a rotation is not.
func lockLog(logs beneath.Dir, name string) (unlock func(), locked bool) {
	fd, _, err := logs.OpenRegular("."+name+".lock", unix.O_RDWR|unix.O_CREAT, 0o644)
	if err != nil {
		return func() {}, false
	}
	for deadline := time.Now().Add(lockWait); ; time.Sleep(5 * time.Millisecond) {
		err := lock(fd, unix.LOCK_EX)
		if err == nil {
			return func() { unix.Close(fd) }, true
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			unix.Close(fd)
			return func() {}, false
		}
	}
}

func appendLog(logs beneath.Dir, name string, text []byte, rotateAt int64, mayRotate bool) error {
	fd, st, err := openLog(logs, name)
	if err != nil {
		return err
	}
	defer func() { unix.Close(fd) }()
	if st.Size > 0 && st.Size+int64(len(text)) > rotateAt {
		rotated, next, rotateErr := rotate(logs, name, mayRotate)
		if rotateErr != nil {
			return errors.Join(write(fd, st, text), fmt.Errorf("rotate: %w", rotateErr))
		}
		unix.Close(fd)
		fd, st = rotated, next
	}
	return write(fd, st, text)
}

func rotate(logs beneath.Dir, name string, may bool) (int, unix.Stat_t, error) {
	if !may {
		return -1, unix.Stat_t{}, errors.New("another run holds the lock of the log")
	}
	if err := unix.Renameat(int(logs), name, int(logs), name+".1"); err != nil {
		return -1, unix.Stat_t{}, err
	}
	return openLog(logs, name)
}

func openLog(logs beneath.Dir, name string) (int, unix.Stat_t, error) {
	fd, st, err := logs.OpenRegular(name, unix.O_RDWR|unix.O_APPEND|unix.O_CREAT, 0o644)
	if err != nil {
		return -1, st, err
	}
	if st.Nlink != 1 {
		unix.Close(fd)
		return -1, st, fmt.Errorf("%w of one name: it has %d", policy.ErrNotRegular, st.Nlink)
	}
	return fd, st, nil
}

// write appends with a single call, which the system does not mix with another process's.
func write(fd int, st unix.Stat_t, text []byte) error {
	if st.Size > 0 {
		var last [1]byte
		if _, err := unix.Pread(fd, last[:], st.Size-1); err == nil && last[0] != '\n' {
			text = append([]byte{'\n'}, text...)
		}
	}
	n, err := ignoringEINTR(func() (int, error) { return unix.Write(fd, text) })
	if err != nil {
		return os.NewSyscallError("write", err)
	}
	if n < len(text) {
		return io.ErrShortWrite
	}
	return nil
}
