package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"hermes-reconcile/policy"
)

// invalidStateFile is where a state file goes that is no JSON object.
const invalidStateFile = policy.StateFile + ".invalid"

// maxStateSize is how large a state file may be, as engine/facts reads it.
const maxStateSize = 64 << 10

// A gateway rewrites its state file at any time. SetIntent tries again so often
// when it does so in between, and looks again after so long for a gateway that
// had read the file before and wrote it afterwards.
const (
	intentAttempts = 50
	intentSettles  = 20 * time.Millisecond
	// What is another intent after so many writes was recorded by somebody else, and
	// not put back by a gateway.
	intentWrites = 3
)

var (
	errChanged = errors.New("it was changed meanwhile")
	errLost    = errors.New("it was written and another intent stands there")
)

// Intent returns the desired state that a profile's state file records. None is
// recorded where the file or the field is missing, or is not what it should be.
// What is no regular file, or too large to be read, is an error; a profile
// without a directory is one that wraps fs.ErrNotExist.
func (h *Home) Intent(ctx context.Context, profile string) (desired string, recorded bool, err error) {
	err = h.inProfile(ctx, profile, policy.StateFile, func(dir *directory) error {
		state, err := readState(dir)
		if err == nil {
			defer state.close()
			desired, recorded = state.object.desired()
		}
		return err
	})
	return desired, recorded, err
}

// SetIntent records "running" or "stopped" as the desired state of a profile and
// says whether it had to. All other fields stay as they are, byte for byte; a
// missing file is made. A file that is no JSON object is kept as
// gateway_state.json.invalid. What is no regular file, or too large to be a state
// file, stays and is an error; a profile without a directory is one that wraps
// fs.ErrNotExist. A gateway may write the file at the same time: neither its
// fields nor the intent are lost. Where somebody else records another intent at the
// same time, the last one stands, which need not be this one.
func (h *Home) SetIntent(ctx context.Context, profile, state string) (changed bool, err error) {
	if state != "running" && state != "stopped" {
		return false, fmt.Errorf(`desired state of profile %s: it is %q, want "running" or "stopped"`, profile, state)
	}
	err = h.inProfile(ctx, profile, policy.StateFile, func(dir *directory) error {
		writes := 0
		for range intentAttempts {
			wrote, err := h.trySetIntent(ctx, dir, state)
			changed = changed || wrote
			switch {
			case errors.Is(err, errLost):
				if writes++; writes == intentWrites {
					return nil
				}
			case !errors.Is(err, errChanged):
				return err
			}
		}
		return fmt.Errorf("%w, %d times in a row", errChanged, intentAttempts)
	})
	return changed, err
}

// trySetIntent returns errChanged where somebody else wrote the file meanwhile, and
// errLost where somebody did right afterwards.
func (h *Home) trySetIntent(ctx context.Context, dir *directory, state string) (wrote bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	before, err := readState(dir)
	if err != nil {
		return false, err
	}
	defer before.close()
	if desired, recorded := before.object.desired(); recorded && desired == state {
		return false, nil
	}
	if err := h.replaceState(dir, before, before.object.withIntent(state, time.Now().Unix())); err != nil {
		return false, err
	}
	if err := hasIntent(dir, state); err != nil || before.file == nil {
		return true, err
	}
	select {
	case <-ctx.Done():
		return true, ctx.Err()
	case <-time.After(intentSettles):
	}
	return true, hasIntent(dir, state)
}

func hasIntent(dir *directory, state string) error {
	now, err := readState(dir)
	if err != nil {
		return err
	}
	defer now.close()
	if desired, recorded := now.object.desired(); !recorded || desired != state {
		return errLost
	}
	return nil
}

// replaceState puts text in the place of the state file that was read before.
func (h *Home) replaceState(dir *directory, before stateFileText, text []byte) error {
	return dir.use("write", policy.StateFile, func(fd int) error {
		return writeFile(fd, policy.StateFile, text, before.mode, func(temp string) error {
			if h.beforeRename != nil {
				h.beforeRename()
			}
			if err := before.isStill(fd); err != nil {
				return err
			}
			if before.object == nil && !before.blank {
				if err := renameOver(fd, policy.StateFile, invalidStateFile); err != nil {
					return err
				}
			} else if before.file != nil {
				return renameOver(fd, temp, policy.StateFile)
			}
			err := renameNew(fd, temp, policy.StateFile)
			if errors.Is(err, fs.ErrExist) {
				return errChanged
			}
			return err
		})
	})
}

// A stateFileText is a state file as it was read.
type stateFileText struct {
	// file is open, so that no other file has its inode meanwhile; nil where there
	// is none.
	file     policy.File
	identity string
	mode     uint32
	blank    bool         // it holds nothing that could be lost
	object   *stateObject // nil: no JSON object
}

func (s stateFileText) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// isStill returns errChanged unless the file is the one that was read.
func (s stateFileText) isStill(fd int) error {
	st, err := lstatBeneath(fd, policy.StateFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.file == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return errChanged
	case err != nil:
		return err
	case s.file == nil || Identity(fileInfo{st: st}) != s.identity:
		return errChanged
	}
	return nil
}

// readState reads the state file; none is not an error. The caller closes it.
func readState(dir *directory) (stateFileText, error) {
	file, err := dir.openOrSay(policy.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return stateFileText{mode: stateMode, blank: true}, nil
	}
	if err != nil {
		return stateFileText{}, err
	}
	state := stateFileText{file: file}
	text, err := readLimited(file, maxStateSize)
	if err == nil {
		err = state.describe()
	}
	if err != nil {
		state.close()
		return stateFileText{}, err
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	state.blank = len(bytes.TrimSpace(text)) == 0
	state.object = parseState(text)
	return state, nil
}

func (s *stateFileText) describe() error {
	info, err := s.file.Stat()
	if err != nil {
		return unwrapPath(err)
	}
	s.identity, s.mode = Identity(info), uint32(info.Mode().Perm())
	return nil
}

func readLimited(f policy.File, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, unwrapPath(err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("it is larger than %d bytes", limit)
	}
	return text, nil
}

// openOrSay opens a regular file. Where there is something of another kind, the
// error says of which.
func (d *directory) openOrSay(name string) (policy.File, error) {
	f, err := d.Open(name)
	if errors.Is(err, policy.ErrNotRegular) {
		return nil, d.strangeKind(name, err)
	}
	if err != nil {
		return nil, unwrapPath(err)
	}
	return f, nil
}

// strangeKind says what stands in the place of a regular file.
func (d *directory) strangeKind(name string, err error) error {
	info, statErr := d.Lstat(name)
	if statErr != nil {
		return unwrapPath(err)
	}
	kind := "a device or a socket"
	switch mode := info.Mode(); {
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeSymlink != 0:
		kind = "a link"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	}
	return fmt.Errorf("it is %s: %w", kind, policy.ErrNotRegular)
}

// inProfile calls do with the directory of a profile. Errors come back with file
// and profile.
func (h *Home) inProfile(ctx context.Context, profile, file string, do func(*directory) error) error {
	p, err := h.find(ctx, profile)
	if err != nil {
		return err
	}
	dir, err := h.open(p)
	if err != nil {
		return err
	}
	defer dir.close()
	if err := do(dir); err != nil {
		return fmt.Errorf("%s of profile %s: %w", file, profile, unwrapPath(err))
	}
	return nil
}
