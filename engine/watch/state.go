package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// The files of the directory that a watch keeps until the container stops. It is root's
// alone, and everybody may read it.
const (
	StateFile   = "watch.json"   // a State; its time of modification is that of the last look
	AppliedFile = "applied.json" // the last applied decisions, by profile
	AcceptFile  = "accept.json"  // the stops that an operator accepts
	BundlesFile = "bundles.json" // what the watch knows of each policy.Bundle that it fetches
	PokeFIFO    = "poke"         // a byte in it asks for a look
)

// CodeNoPass is the code of the alarm that a pass ended before it decided.
const CodeNoPass = "no_pass"

// CodeLease is the code of the alarm that the lease of the volume cannot be written.
const CodeLease = "lease_not_written"

// OwnCodes are the codes of the alarms that only a watch can know.
var OwnCodes = []string{CodeContested, CodeMaxStops, CodeNoPass, CodeLease, engine.CodeVolume, policy.CodePolicyRefused, policy.CodeRolledBack}

// maxState bounds each of the files, in bytes.
const maxState = 1 << 20

// A State is what a watch tells of itself. It is written when a pass changed something,
// was poked, or found other alarms.
type State struct {
	PID         int   `json:"pid"`
	Passes      int   `json:"passes"`        // that are over
	BegunUnixNS int64 `json:"begun_unix_ns"` // when the pass began that wrote this
	// NextUnix is when the rules want to be asked again; 0 is never.
	NextUnix   int64          `json:"next_unix,omitempty"`
	NextReason string         `json:"next_reason,omitempty"`
	Alarms     []policy.Alarm `json:"alarms"`
	// Blocked are the profiles whose gateways a pass did not stop because there were too
	// many of them.
	Blocked []string `json:"blocked"`
	// Events says for each kind of trigger that gives no events why there are none.
	Events map[string]string `json:"events"`
	// Uploads are those of the decision log; nil without a collector.
	Uploads *Uploads `json:"uploads,omitempty"`

	LookedUnix int64 `json:"looked_unix"` // filled in by ReadState
}

// Uploads are how the uploads of the decision log to a collector go.
type Uploads struct {
	Buffered     int    `json:"buffered"`          // events that waited after the last attempt
	UploadedUnix int64  `json:"uploaded_unix"`     // when the collector had everything, or the next part, last; 0: never
	Problem      string `json:"problem,omitempty"` // of the last attempt
}

// ReadState reads the state that a watch wrote. The error wraps fs.ErrNotExist when none
// has written any since the container started, and is a *trust.Error when others than root
// and the caller could have written it.
func ReadState(dir string) (State, error) {
	s, err := Read[State](dir, StateFile)
	if err != nil {
		return s, err
	}
	info, err := os.Stat(filepath.Join(dir, StateFile))
	if err == nil {
		s.LookedUnix = info.ModTime().Unix()
	}
	return s, err
}

// Read reads a document of the directory. The error wraps fs.ErrNotExist when there is none,
// and is a *trust.Error when others than root and the caller could have written it.
func Read[T any](dir, name string) (document T, err error) {
	path := filepath.Join(dir, name)
	text, err := trust.Read(path, trust.Only(os.Geteuid()), maxState)
	if err != nil {
		return document, err
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return *new(T), fmt.Errorf("%s: %w", path, err)
	}
	return document, nil
}

// Write writes a document of the directory at once or not at all.
func Write(dir, name string, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	err = renameio.WriteFile(path, append(text, '\n'), 0o644, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644))
	if reason, ok := errors.AsType[syscall.Errno](err); ok { // without the random name of a temporary file
		return fmt.Errorf("write %s: %w", path, reason)
	}
	return err
}

// tempName matches the temporary files of Write.
var tempName = policy.Pattern(`^\.[a-z]+\.json[0-9]+$`)

// removeTemps removes what writers left that were killed.
func removeTemps(dir string, now time.Time) {
	entries, _ := os.ReadDir(dir) // those before an error
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && tempName().MatchString(entry.Name()) && now.Sub(info.ModTime()) > time.Minute { // nobody writes so long
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// looked notes that a pass is over which changed nothing.
func looked(dir string, now time.Time) error {
	err := os.Chtimes(filepath.Join(dir, StateFile), now, now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// An Applied is a decision about a profile that was carried out.
type Applied struct {
	Action policy.Action `json:"action"`
	Code   string        `json:"code"`
}

// readApplied returns the last applied decisions; nil when nobody has applied any since the
// container started.
func readApplied(dir string) (map[string]Applied, error) {
	applied, err := Read[map[string]Applied](dir, AppliedFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return applied, err
}

// KeepApplied adds what a pass carried out to the last applied decisions, so that a watch does
// not take it for new. It makes the directory.
func KeepApplied(dir string, r reconcile.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	before, _ := readApplied(dir) // what cannot be read is written anew
	return saveApplied(dir, before, after(before, r, nil))
}

func saveApplied(dir string, before, now map[string]Applied) error {
	if before != nil && maps.Equal(before, now) {
		return nil
	}
	return Write(dir, AppliedFile, now)
}

// after returns the last applied decisions after a pass. Those of profiles that the pass left
// alone, and of those for which something failed, stay as they were.
func after(before map[string]Applied, r reconcile.Report, alone map[string]bool) map[string]Applied {
	now := map[string]Applied{}
	for name, a := range before {
		if _, exists := r.Input.Profiles[name]; exists || r.Uncertain() != "" {
			now[name] = a
		}
	}
	failed := map[string]bool{}
	for _, result := range r.Results {
		failed[result.Operation.Profile] = failed[result.Operation.Profile] || result.Err != nil
	}
	for name, d := range r.Decisions.Profiles {
		if _, exists := r.Input.Profiles[name]; exists && !d.Undecided && !alone[name] && !failed[name] {
			now[name] = Applied{d.Action, d.Code}
		}
	}
	return now
}
