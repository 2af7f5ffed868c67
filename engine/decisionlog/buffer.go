package decisionlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"hermes-reconcile/policy/trust"
)

// A Buffer keeps events on disk until a collector has them. Each file is there as a whole or
// not at all, so a process that is killed loses nothing of it.
type Buffer struct {
	Dir   string // root's alone
	Limit int64  // bytes of all files; the oldest are dropped
}

// mostEvents limits a file of the buffer, which is an upload.
const mostEvents = 32

// A batch is a file of the buffer: events, one a line.
type batch struct {
	sequence, events int
	size             int64
}

func (b batch) in(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("%012d-%d.jsonl", b.sequence, b.events))
}

// waiting returns what waits, the oldest first.
func (b Buffer) waiting() (all []batch, err error) {
	entries, err := os.ReadDir(b.Dir) // by name
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		var one batch
		info, infoErr := entry.Info()
		if n, _ := fmt.Sscanf(entry.Name(), "%d-%d.jsonl", &one.sequence, &one.events); n == 2 && infoErr == nil {
			one.size = info.Size()
			all = append(all, one)
		}
	}
	return all, err
}

// Append adds events, in their order. When there is no room it drops the oldest, and returns
// how many it dropped. Events that cannot be written are dropped too.
func (b Buffer) Append(events [][]byte) (dropped int, err error) {
	left := len(events)
	if err := trust.MakeDirectory(b.Dir, trust.Only(os.Geteuid())); err != nil {
		return left, err
	}
	lock := flock.New(filepath.Join(b.Dir, "lock"), flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return left, err
	}
	defer lock.Close()
	torn, _ := filepath.Glob(filepath.Join(b.Dir, ".*")) // of writers that were killed
	for _, name := range torn {
		_ = os.Remove(name)
	}
	all, err := b.waiting()
	next, total := 1, int64(0)
	for _, one := range all {
		next, total = one.sequence+1, total+one.size
	}
	for chunk := range slices.Chunk(events, mostEvents) {
		text := append(bytes.Join(chunk, []byte("\n")), '\n')
		one := batch{next, len(chunk), int64(len(text))}
		for len(all) > 0 && total+one.size > b.Limit {
			if os.Remove(all[0].in(b.Dir)) == nil { // else the collector has it by now
				dropped += all[0].events
			}
			total, all = total-all[0].size, all[1:]
		}
		if err = renameio.WriteFile(one.in(b.Dir), text, 0o600, renameio.WithTempDir(b.Dir), renameio.WithStaticPermissions(0o600)); err != nil {
			break
		}
		all, next, total, left = append(all, one), next+1, total+one.size, left-len(chunk)
	}
	return dropped + left, err
}

// read returns the events of a batch. A line that a failing disk has torn is left out.
func (b Buffer) read(one batch) ([]json.RawMessage, error) {
	text, err := trust.Read(one.in(b.Dir), trust.Only(os.Geteuid()), mostEvents*(MaxEvent+1))
	var events []json.RawMessage
	for line := range bytes.Lines(text) {
		if json.Valid(line) {
			events = append(events, line)
		}
	}
	return events, err
}
