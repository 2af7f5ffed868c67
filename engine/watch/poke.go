package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy/wait"
)

// makePoke makes the FIFO that members of a group may write to, and opens it. A FIFO that
// exists stays. What is read from it means nothing but look again.
func makePoke(dir string, gid int) (*os.File, error) {
	path := filepath.Join(dir, PokeFIFO)
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	// Opened for both, it never ends.
	fifo, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := fifo.Stat()
	if err == nil && info.Mode().Type() != fs.ModeNamedPipe {
		err = fmt.Errorf("%s is no FIFO: remove it", path)
	}
	if err == nil && os.Geteuid() == 0 {
		err = errors.Join(fifo.Chown(0, gid), fifo.Chmod(0o620))
	}
	if err != nil {
		fifo.Close()
		return nil, err
	}
	return fifo, nil
}

// Pokes turns what comes through the FIFO into triggers, until ctx ends. Members of the group
// may write to it, if this process is root.
func Pokes(ctx context.Context, dir string, gid int, triggers chan<- Trigger) error {
	fifo, err := makePoke(dir, gid)
	if err != nil {
		return err
	}
	defer fifo.Close()
	defer context.AfterFunc(ctx, func() { fifo.Close() })()
	var bytes [512]byte
	for {
		if _, err := fifo.Read(bytes[:]); err != nil {
			return fmt.Errorf("%s: %w", PokeFIFO, err)
		}
		select {
		case triggers <- Trigger{Kind: Poke}:
		case <-ctx.Done():
			return nil
		}
	}
}

// ErrNoWatch means that no watch answers.
var ErrNoWatch = errors.New("no watch runs")

// looking is how often the state is read while somebody waits for a look.
const looking = 20 * time.Millisecond

// Ask asks the watch of a directory for a look, and waits until a pass is over that began
// afterwards. The error wraps ErrNoWatch when there is none that answers within the limit.
func Ask(ctx context.Context, dir string, limit time.Duration) error {
	fifo, err := os.OpenFile(filepath.Join(dir, PokeFIFO), os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, fs.ErrNotExist) {
		return ErrNoWatch
	}
	if err != nil {
		return fmt.Errorf("%w that this user may ask: %w", ErrNoWatch, err)
	}
	defer fifo.Close()
	asked := time.Now()
	if _, err := fifo.Write([]byte{'\n'}); err != nil && !errors.Is(err, syscall.EAGAIN) { // full: it will look
		return err
	}
	defer wait.For(ctx, "the watch", limit)()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(looking)
	defer tick.Stop()
	for {
		if s, err := ReadState(dir); err == nil && s.BegunUnixNS >= asked.UnixNano() {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: it did not look within %v", ErrNoWatch, limit)
		}
	}
}
