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
	"strconv"
	"strings"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// TallyName is the file of a slot with the counted deaths of its gateway. A new slot,
// as every boot makes it, has none.
const TallyName = "data/deaths.json"

// The pauses, in seconds, after deaths that a rule answers with "backoff" are 1, 2, 4
// and so on up to longestPause. Those of a budget that is used up begin with window / deaths
// and grow alike: at an even pace of 30 s a bot would use up in eight hours the 1000 starts a
// day that Discord allows. They begin anew after a life longer than longLife, or than the
// ResetAfterSeconds of the rule.
const (
	longestPause = 300
	longLife     = 600
)

// A Death is the end of a gateway, as s6-supervise passes it to a finish script.
type Death struct {
	Dir      string // the service directory
	ExitCode int    // 256 when a signal ended it
	Signal   int
	OOMKills int64 // what the container's control group counts now, see scripts.OOMFiles
	Now      time.Time
}

// An Answer is what follows a death.
type Answer struct {
	Profile string
	// Down: the gateway stays down. The finish script has to exit with 125.
	Down bool
	// Hold has to be recorded with the profile for later boots; nil without one. The slot
	// has a down file then. The recorder fills in its Files.
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
	Slow   bool      `json:"slow,omitempty"`   // the budget was used up, and the pauses are its
}

// Answer counts the death by the restart rule in the slot's marker, and changes the
// slot accordingly. It does not count an intended stop, nor what the rule leaves uncounted.
// The Answer is valid also with an error about writing to the slot.
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
	status, known := supervise.ReadStatus(slot)
	if m.Restart == nil || known && !status.WantUp { // a user wanted it to end
		return a, nil
	}
	answer := m.Restart.Answer(policy.Ending{ExitCode: d.ExitCode, Signal: d.Signal, OOM: d.OOMKills > oomKills(slot)})
	switch answer {
	case policy.AnswerNever:
		a.Down = true
		fallthrough
	case policy.AnswerUncounted:
		return a, nil
	}
	recorded := supervise.ReadDeaths(slot).Each
	recorded = recorded[:max(0, len(recorded)-1)] // the last is this one
	t, err := d.counted(slot, m.Restart, recorded)
	began := t.Last + t.Pause
	if len(recorded) > 0 {
		began = max(began, seconds(recorded[len(recorded)-1].At))
	}
	d.count(&t, m.Restart, answer, began, &a)
	return a, errors.Join(err, record(slot, t, a))
}

// oomKills reads scripts.OOMName. Without it no death is one for want of memory.
func oomKills(slot beneath.Dir) int64 {
	data, _ := slot.Read(scripts.OOMName)
	count, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return count
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// counted reads what was counted before this death. When the file is not as Answer wrote
// it, the deaths that s6-supervise has recorded count, so nobody begins a budget anew by
// spoiling the file. s6-supervise also records deaths that a user wanted.
func (d Death) counted(slot beneath.Dir, r *policy.Restart, recorded []supervise.Death) (tally, error) {
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
	for _, death := range recorded {
		if r.Answer(policy.Ending{ExitCode: death.ExitCode, Signal: death.Signal}) != policy.AnswerUncounted {
			t.Last = seconds(death.At)
			t.Deaths = append(t.Deaths, t.Last)
		}
	}
	return t, fmt.Errorf("%s: %w; the deaths that s6-supervise recorded count instead: %d", TallyName, err, len(t.Deaths))
}

func readJSON(slot beneath.Dir, name string, value any) error {
	data, err := slot.Read(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, value)
}

// count adds the death of a gateway that began to run at a time, and decides what follows.
func (d Death) count(t *tally, r *policy.Restart, answer string, began float64, a *Answer) {
	now := seconds(d.Now)
	lived, longEnough := now-began, float64(longLife)
	if r.ResetAfterSeconds > 0 {
		longEnough = r.ResetAfterSeconds
		if lived > longEnough {
			t.Deaths = nil
		}
	}
	if t.Last == 0 || lived < 0 || lived > longEnough {
		t.Pauses, t.Slow = 0, false
	}
	t.Last, t.Pause = now, 0
	exhausted := false
	if b := r.Budget; b != nil {
		t.Deaths = append(t.Deaths, now)
		t.Deaths = slices.DeleteFunc(t.Deaths, func(at float64) bool { return at > now || at < now-b.WindowSeconds })
		exhausted = len(t.Deaths) >= b.Deaths
	}
	switch {
	case r.Budget != nil && r.OnExhaustion == "slow" && (exhausted || t.Slow):
		if !t.Slow {
			t.Pauses, t.Slow = 0, true
		}
		t.Deaths = t.Deaths[max(0, len(t.Deaths)-r.Budget.Deaths):]
		t.pause(math.Ceil(r.Budget.WindowSeconds / float64(r.Budget.Deaths)))
	case exhausted:
		a.Down, a.Hold = true, d.hold(len(t.Deaths), r)
		*t = tally{}
	case answer == policy.AnswerBackoff:
		t.pause(1)
	default:
		t.Pauses = 0
	}
	a.PauseSeconds = t.Pause
}

// pause makes the next pause: twice the one before, up to longestPause or the first if that
// is longer.
func (t *tally) pause(first float64) {
	t.Pause = min(first*math.Exp2(float64(t.Pauses)), max(first, longestPause))
	t.Pauses = min(t.Pauses+1, 16)
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
	data, _ := json.Marshal(t) // plain values marshal
	files := []beneath.File{{Name: TallyName, Mode: 0o644, Content: append(data, '\n')}}
	if pause, ok := scripts.Pause(a.PauseSeconds); ok {
		files = append(files, pause)
	}
	if a.Hold != nil {
		files = append(files, beneath.File{Name: "down", Mode: 0o644})
	}
	var errs []error
	for _, f := range files {
		_ = slot.RemoveAll(f.Name + ".new")
		errs = append(errs, slot.Replace(f, slot, f.Name+".new"))
	}
	return errors.Join(errs...)
}
