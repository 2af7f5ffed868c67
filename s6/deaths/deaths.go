// Package deaths counts the deaths of a gateway in its slot, for the helper of the slot's
// finish script, and answers each by the restart rule in the slot's marker.
package deaths

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/beneath"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// TallyName is the file of a slot with the counted deaths of its gateway. A new slot,
// as every boot makes it, has none.
const TallyName = "data/deaths.json"

// The pauses, in seconds, after deaths that a rule answers with "backoff" are 1, 2, 4
// and so on up to longestPause. They begin anew after a life longer than longLife.
const (
	longestPause = 300
	longLife     = 600
)

// A Death is the end of a gateway, as s6-supervise passes it to a finish script.
type Death struct {
	Dir      string // the service directory
	ExitCode int    // 256 when a signal ended it
	Signal   int
	Now      time.Time
}

// An Answer is what follows a death.
type Answer struct {
	Profile string
	// Down: the gateway stays down. The slot has a down file, and the finish script
	// has to exit with 125.
	Down bool
	// Hold has to be recorded with the profile for later boots; nil without one. The
	// recorder fills in its Files.
	Hold *policy.RestartHold
	// PauseSeconds is how long the next start waits. It is in the slot already.
	PauseSeconds float64
}

// A tally is the content of TallyName.
type tally struct {
	Deaths []float64 `json:"deaths"`           // seconds since 1970, within the window of the budget, oldest first
	Last   float64   `json:"last"`             // the last death that counted
	Pauses int       `json:"pauses,omitempty"` // in a row
	Pause  float64   `json:"pause,omitempty"`  // the last one, in seconds
}

// Answer counts the death by the restart rule in the slot's marker, and changes the
// slot accordingly. It counts neither an intended stop nor a death by a signal that
// operators send (TERM, INT, HUP), as upstream's restart does. The Answer is valid
// also with an error about writing to the slot.
func (d Death) Answer() (Answer, error) {
	slot, err := beneath.OpenDir(d.Dir)
	if err != nil {
		return Answer{}, fmt.Errorf("open the service directory: %w", err)
	}
	defer slot.Close()
	var m scripts.Marker
	err = readJSON(slot, scripts.MarkerName, &m)
	if err == nil && m.Profile == "" {
		err = errors.New("it names no profile")
	}
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %w", scripts.MarkerName, err)
	}
	a := Answer{Profile: m.Profile}
	if d.wasWanted(slot) || m.Restart == nil {
		return a, nil
	}
	t, err := d.counted(slot)
	d.count(&t, m.Restart, &a)
	return a, errors.Join(err, record(slot, t, a))
}

// counted reads what was counted before this death. When the file is not as Answer wrote
// it, the deaths that s6-supervise has recorded count, so nobody begins a budget anew by
// spoiling the file. s6-supervise also records deaths that a user wanted.
func (d Death) counted(slot beneath.Dir) (tally, error) {
	var t tally
	st, err := slot.Lstat(TallyName)
	if beneath.IsAbsent(err) {
		return t, nil
	}
	if err == nil && (int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 || st.Nlink != 1) {
		err = errors.New("another user could have written it")
	}
	if err == nil {
		err = readJSON(slot, TallyName, &t)
	}
	if err == nil {
		return t, nil
	}
	t = tally{}
	recorded := supervise.ReadDeaths(slot).Each
	for _, death := range recorded[:max(0, len(recorded)-1)] { // the last is this one
		if !isOperators(death.Signal) {
			t.Last = float64(death.At.UnixMilli()) / 1000
			t.Deaths = append(t.Deaths, t.Last)
		}
	}
	return t, fmt.Errorf("%s: %w; the deaths that s6-supervise recorded count instead: %d", TallyName, err, len(t.Deaths))
}

// isOperators reports whether operators send a signal to end a gateway.
func isOperators(signal int) bool {
	switch syscall.Signal(signal) {
	case unix.SIGTERM, unix.SIGINT, unix.SIGHUP:
		return true
	}
	return false
}

func readJSON(slot beneath.Dir, name string, value any) error {
	data, err := slot.Read(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, value)
}

// wasWanted reports whether a user wanted the gateway to end. While a finish script
// runs, the status shows whether s6-supervise will start the service again.
func (d Death) wasWanted(slot beneath.Dir) bool {
	if isOperators(d.Signal) {
		return true
	}
	s, ok := supervise.ReadStatus(slot)
	return ok && !s.WantUp
}

// count adds the death and decides what follows.
func (d Death) count(t *tally, r *policy.Restart, a *Answer) {
	now := float64(d.Now.UnixMilli()) / 1000
	lived := now - t.Last - t.Pause
	if t.Last == 0 || lived < 0 || lived > longLife {
		t.Pauses = 0
	}
	t.Last, t.Pause = now, 0
	exhausted := false
	if b := r.Budget; b != nil {
		t.Deaths = append(t.Deaths, now)
		t.Deaths = slices.DeleteFunc(t.Deaths, func(at float64) bool { return at > now || at < now-b.WindowSeconds })
		exhausted = len(t.Deaths) >= b.Deaths
	}
	switch {
	case exhausted && r.OnExhaustion == "slow":
		t.Deaths = t.Deaths[len(t.Deaths)-r.Budget.Deaths:]
		a.PauseSeconds = math.Ceil(r.Budget.WindowSeconds / float64(r.Budget.Deaths))
	case exhausted:
		a.Down, a.Hold = true, d.hold(len(t.Deaths), r)
		*t = tally{}
		return
	case r.ExitCodes[fmt.Sprint(d.ExitCode)] == "backoff":
		a.PauseSeconds = math.Min(math.Exp2(float64(t.Pauses)), longestPause)
		t.Pauses = min(t.Pauses+1, 16)
	default:
		t.Pauses = 0
	}
	t.Pause = a.PauseSeconds
}

func (d Death) hold(deaths int, r *policy.Restart) *policy.RestartHold {
	hold := &policy.RestartHold{
		SinceUnix: d.Now.Unix(), Deaths: deaths, WindowSeconds: r.Budget.WindowSeconds,
		ExitCode: d.ExitCode, Signal: d.Signal,
	}
	if d.ExitCode != 256 {
		hold.Signal = 0
	}
	if r.HoldSeconds > 0 {
		hold.UntilUnix = d.Now.Unix() + int64(math.Ceil(r.HoldSeconds))
	}
	return hold
}

// record writes what was counted, and the down file or the pause, each as a whole or not
// at all. One helper runs at a time, and it overwrites what an interrupted one left.
func record(slot beneath.Dir, t tally, a Answer) error {
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	files := []beneath.File{{Name: TallyName, Mode: 0o644, Content: append(data, '\n')}}
	if pause, ok := scripts.Pause(a.PauseSeconds); ok {
		files = append(files, pause)
	}
	if a.Down {
		files = append(files, beneath.File{Name: "down", Mode: 0o644})
	}
	var errs []error
	for _, f := range files {
		_ = slot.RemoveAll(f.Name + ".new")
		errs = append(errs, slot.Replace(f, slot, f.Name+".new"))
	}
	return errors.Join(errs...)
}
