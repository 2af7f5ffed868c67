package volume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"strconv"
	"time"
	"unicode/utf8"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
)

// invalidStateFile keeps a state file that does not hold a JSON object.
const invalidStateFile = policy.StateFile + ".invalid"

// maxStateSize is the size limit of a state file in bytes, the same as in engine/facts.
const maxStateSize = 64 << 10

// A gateway rewrites its state file at any time. SetIntent retries intentAttempts times when
// the file changes before the write. It checks once more after intentSettles, for a gateway
// that read the file before the write and writes it afterwards.
const (
	intentAttempts = 50
	intentSettles  = 20 * time.Millisecond
	// After this many lost writes, the other intent was recorded by another command, not
	// written back by a gateway.
	intentWrites = 3
)

var (
	errChanged = errors.New("it was changed meanwhile")
	errLost    = errors.New("it was written and another intent stands there")
)

// Intent returns the desired state that a profile's state file records. It is empty when the
// file or the field is missing or invalid. A file that is not regular, or too large, is an
// error. The error wraps fs.ErrNotExist when the profile has no directory.
func (h *Home) Intent(ctx context.Context, profile string) (desired string, err error) {
	err = h.inProfile(ctx, profile, policy.StateFile, func(dir *directory) (err error) {
		desired, err = readText(dir, policy.StateFile, "desired_state")
		return err
	})
	return desired, err
}

// SetIntent records "running" or "stopped" as the desired state of a profile, and reports
// whether it wrote the file. All other fields keep their values; a missing file is created.
// A file that does not hold a JSON object is kept as gateway_state.json.invalid. A file that
// is not regular, or too large, stays and is an error. The error wraps fs.ErrNotExist when
// the profile has no directory. A gateway may write the file at the same time: neither its
// fields nor the intent are lost. When another command records another intent at the same
// time, either of the two may remain.
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

// trySetIntent returns errChanged when another process wrote the file before it did, and
// errLost when another process wrote it right afterwards.
func (h *Home) trySetIntent(ctx context.Context, dir *directory, state string) (wrote bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	before, err := readState(dir, policy.StateFile)
	if err != nil {
		return false, err
	}
	defer before.close()
	if before.object.text("desired_state") == state {
		return false, nil
	}
	if err := h.replaceState(dir, before, before.object.withIntent(state, time.Now().Unix())); err != nil {
		return false, err
	}
	if before.file != nil {
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-time.After(intentSettles):
		}
	}
	now, err := readText(dir, policy.StateFile, "desired_state")
	if err == nil && now != state {
		err = errLost
	}
	return true, err
}

func (h *Home) replaceState(dir *directory, before stateFileText, text []byte) error {
	return dir.use("write", policy.StateFile, func(fd beneath.Dir) error {
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
	// file stays open, so that no other file gets its inode meanwhile; nil when the file
	// is missing.
	file     *file
	identity string // empty when the file is missing
	mode     uint32
	blank    bool        // it holds nothing that could be lost
	object   stateObject // nil: not a JSON object
}

func (s stateFileText) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// isStill returns errChanged unless the file is the one that was read.
func (s stateFileText) isStill(fd beneath.Dir) error {
	identity := ""
	st, err := fd.Lstat(policy.StateFile)
	if err == nil {
		identity = policy.Identity(fileInfo{st: st})
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if identity != s.identity {
		return errChanged
	}
	return nil
}

// readState reads a state file. A missing file is not an error. The caller closes the result.
func readState(dir *directory, name string) (stateFileText, error) {
	file, err := dir.openFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return stateFileText{mode: stateMode, blank: true}, nil
	}
	if err != nil {
		return stateFileText{}, err
	}
	text, err := readLimited(file, maxStateSize)
	if err != nil {
		file.Close()
		return stateFileText{}, err
	}
	state := stateFileText{file: file, identity: policy.Identity(file.info), mode: uint32(file.info.Mode().Perm())}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	state.blank = len(bytes.TrimSpace(text)) == 0
	state.object = parseState(text)
	return state, nil
}

// readText reads one value of a state file. It is empty when there is no such text.
func readText(dir *directory, name, key string) (string, error) {
	state, err := readState(dir, name)
	if err != nil {
		return "", err
	}
	defer state.close()
	return state.object.text(key), nil
}

// A stateObject is the JSON object in a file, its values as they are written.
type stateObject map[string]json.RawMessage

// parseState parses the text of a JSON object. It returns nil for anything else, and for
// every text that engine/facts calls invalid. Keys are matched exactly as they are written,
// and the last of two equal ones wins.
func parseState(text []byte) (o stateObject) {
	if !utf8.Valid(text) || policy.JSONExcess(text) != "" || json.Unmarshal(text, &o) != nil {
		return nil
	}
	return o
}

// text returns a value, or "" when it is no string.
func (o stateObject) text(key string) (value string) {
	_ = json.Unmarshal(o[key], &value)
	return value
}

// withIntent returns the text of the object with another desired state and time of writing.
func (o stateObject) withIntent(desired string, updatedAt int64) []byte {
	changed := stateObject{}
	maps.Copy(changed, o)
	changed["desired_state"], changed["updated_at"] = json.RawMessage(strconv.Quote(desired)), strconv.AppendInt(nil, updatedAt, 10)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(changed) // decoded JSON encodes again
	return text.Bytes()
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

// Visit calls do with the directory of a profile. The error wraps fs.ErrNotExist when the
// profile has none.
func (h *Home) Visit(ctx context.Context, profile string, do func(policy.Directory)) error {
	return h.inProfile(ctx, profile, ".", func(dir *directory) error {
		do(dir)
		return nil
	})
}

// inProfile calls do with the directory of a profile. It adds file and profile to an error.
func (h *Home) inProfile(ctx context.Context, profile, file string, do func(*directory) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := h.openNamed(profile)
	if err != nil {
		return err
	}
	defer dir.close()
	if err := do(dir); err != nil {
		return fmt.Errorf("%s of profile %s: %w", file, profile, unwrapPath(err))
	}
	return nil
}
