package volume

import (
	"errors"
	"fmt"
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
		if err := home.Mkdir(logsDir, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		logs, err := home.OpenDir(logsDir)
		if err != nil {
			return err
		}
		defer logs.Close()
		return appendLog(logs, name, text, rotateAt)
	})
}

// AppendFile appends text to a file as AppendLog does. The caller trusts the directory.
func AppendFile(path string, text []byte, rotateAt int64) error {
	dir, err := beneath.OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return appendLog(dir, filepath.Base(path), text, rotateAt)
}

func appendLog(logs beneath.Dir, name string, text []byte, rotateAt int64) error {
	unlock, locked := lockLog(logs, name)
	defer unlock()
	log, size, err := openLog(logs, name)
	if err != nil {
		return err
	}
	defer log.Close()
	if size == 0 || size+int64(len(text)) <= rotateAt {
		return write(log, size, text)
	}
	next, nextSize, err := rotate(logs, name, locked)
	if err != nil {
		return errors.Join(write(log, size, text), fmt.Errorf("rotate: %w", err))
	}
	defer next.Close()
	return write(next, nextSize, text)
}

func rotate(logs beneath.Dir, name string, may bool) (next *os.File, size int64, err error) {
	if !may {
		return nil, 0, errors.New("another run holds the lock of the log")
	}
	if err := unix.Renameat(int(logs), name, int(logs), name+".1"); err != nil {
		return nil, 0, err
	}
	return openLog(logs, name)
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
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return func() { unix.Close(fd) }, err == nil
		}
	}
}

func openLog(logs beneath.Dir, name string) (log *os.File, size int64, err error) {
	fd, st, err := logs.OpenRegular(name, unix.O_RDWR|unix.O_APPEND|unix.O_CREAT, 0o644)
	if err != nil {
		return nil, 0, err
	}
	log = os.NewFile(uintptr(fd), name)
	if st.Nlink != 1 {
		log.Close()
		return nil, 0, fmt.Errorf("%w of one name: it has %d", policy.ErrNotRegular, st.Nlink)
	}
	return log, st.Size, nil
}

// write appends with a single call, which the system does not mix with another process's.
func write(log *os.File, size int64, text []byte) error {
	var last [1]byte
	if n, _ := log.ReadAt(last[:], size-1); n == 1 && last[0] != '\n' { // n is 0 in an empty log
		text = append([]byte{'\n'}, text...)
	}
	_, err := log.Write(text)
	return err
}
