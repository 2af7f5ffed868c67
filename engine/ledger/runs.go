package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"hermes-reconcile/policy"
)

// A Query selects the newest runs of the ledger, for some profiles or, without any, for
// all.
type Query struct {
	Profiles []string
	Most     int  // runs
	Boots    bool // without the commands on a running container
	Watch    bool // with the passes of the watch, at most Most of these too
	Whole    bool // with contributions and operations
	// Events asks for the newest events, at most Most, of all passes and of those of the
	// watch, instead of runs.
	Events bool
	After  map[string]Place // Events: only those after these places
}

// Runs is the answer to a Query.
type Runs struct {
	Runs   []Run
	Events []Event
	Places map[string]Place // to which Events were read
	Names  []string         // the profiles in the ledger or on the volume, sorted
	Notes  []string         // about files and lines that could not be read
}

// A Run is one boot, or one apply.
type Run struct {
	Time      string
	Container *Line // nil when its line is lost
	Profiles  []Line
}

// IsBoot reports whether the pass was a boot, as far as a line of it is left.
func (r Run) IsBoot() bool {
	switch {
	case r.Container != nil:
		return r.Container.Phase == policy.PhaseBoot
	case len(r.Profiles) > 0:
		return r.Profiles[0].Phase == policy.PhaseBoot
	}
	return true
}

// runsLines bounds how many lines are held. Beyond it the oldest runs are dropped.
const runsLines = 200_000

// A runsReader collects the lines of a ledger into runs or events, oldest first.
type runsReader struct {
	query  Query
	runs   []Run
	lines  int // in runs
	events []Event
	bytes  int // of the lines of events
	names  map[string]bool
}

// ReadRuns reads the ledger and the file that it was rotated to. Runs are by time, if those of
// the watch are among them. Events are by time. Invalid lines, which an interrupted run leaves,
// become notes.
func ReadRuns(home policy.Directory, q Query) Runs {
	q.Most = max(0, q.Most)
	all := Runs{Places: map[string]Place{}}
	names := map[string]bool{}
	files := []string{Name}
	if q.Watch || q.Events {
		files = append(files, WatchName)
	}
	for _, name := range files {
		r := &runsReader{query: q, names: names}
		place, notes := Scan(home, []string{"logs/" + name + ".1", "logs/" + name}, q.After[name], maxBytes, r.addLine)
		all.Places[name] = place
		all.Runs, all.Events, all.Notes = append(all.Runs, r.runs...), append(all.Events, r.events...), append(all.Notes, notes...)
	}
	if len(files) > 1 {
		slices.SortStableFunc(all.Runs, func(a, b Run) int { return cmp.Compare(a.Time, b.Time) })
		slices.SortStableFunc(all.Events, func(a, b Event) int { return cmp.Compare(a.Time, b.Time) })
	}
	all.Events = all.Events[max(0, len(all.Events)-q.Most):]
	all.Names = slices.Sorted(maps.Keys(names))
	return all
}

// addLine parses one ledger line, adds it and reports whether it was valid.
func (r *runsReader) addLine(text []byte) bool {
	l, ok := parseLine(text)
	if !ok {
		return false
	}
	r.addName(l.Profile)
	switch {
	case r.query.Events:
		r.addEvent(l, len(text))
	case !r.query.Boots || l.Phase == policy.PhaseBoot:
		r.addToRun(l)
	}
	return true
}

func (r *runsReader) addToRun(l Line) {
	if !r.query.Whole {
		l.Rules, l.Operations = nil, nil
	}
	if l.Profile == "" {
		r.add(Run{Time: l.Time, Container: &l})
		return
	}
	if !r.begun(l) {
		r.add(Run{Time: l.Time})
	}
	if r.asksFor(l.Profile) {
		last := &r.runs[len(r.runs)-1]
		last.Profiles = append(last.Profiles, l)
		r.lines++
		r.shed()
	}
}

func (r *runsReader) addName(profile string) {
	if profile != "" && len(r.names) < runsLines {
		r.names[profile] = true
	}
}

func (r *runsReader) asksFor(profile string) bool {
	return len(r.query.Profiles) == 0 || slices.Contains(r.query.Profiles, profile)
}

// parseLine parses a ledger line, and reports whether it was valid.
func parseLine(text []byte) (l Line, ok bool) {
	err := json.Unmarshal(text, &l)
	return l, err == nil && l.Time != "" && l.Action != ""
}

// begun reports whether a line belongs to the last run, which has only one line for a profile.
func (r *runsReader) begun(l Line) bool {
	if len(r.runs) == 0 || r.runs[len(r.runs)-1].Time != l.Time {
		return false
	}
	before := r.runs[len(r.runs)-1].Profiles
	return len(before) == 0 || before[len(before)-1].Profile != l.Profile
}

func (r *runsReader) add(run Run) {
	r.runs = append(r.runs, run)
	r.shed()
}

// shed drops the oldest runs while there are more than the query asks for, or more lines
// than runsLines.
func (r *runsReader) shed() {
	for len(r.runs) > r.query.Most || r.lines > runsLines && len(r.runs) > 1 {
		r.lines -= len(r.runs[0].Profiles)
		r.runs[0] = Run{}
		r.runs = r.runs[1:]
	}
	if r.lines > runsLines { // a single run: this program did not write it
		last := &r.runs[0]
		last.Profiles = last.Profiles[:runsLines]
		r.lines = runsLines
	}
}

// An Event is what one pass did with a profile, and why.
type Event struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Time          string         `json:"time"`
	Profile       string         `json:"profile,omitempty"` // empty: the container
	Done          []string       `json:"done"`              // a few words for each step, in order
	Code          string         `json:"code"`
	Reason        string         `json:"reason"`
	Command       string         `json:"command"`         // "boot" at a boot
	Cause         []string       `json:"cause,omitempty"` // of a pass of the watch: its triggers

	size int // of its line, in bytes
}

// doneWords say what an operation did. The others are no events.
var doneWords = map[policy.Op]string{
	policy.OpPublish: "slot made", policy.OpUpdate: "slot changed", policy.OpRemove: "slot removed",
	policy.OpMarkDown: "down file made", policy.OpClearDown: "down file removed",
	policy.OpBringUp: "started", policy.OpBringDown: "stopped", policy.OpSeed: "state recorded",
}

// eventOf returns the event of a line; not ok means that nothing was done.
func eventOf(l Line) (e Event, ok bool) {
	e = Event{Time: l.Time, Profile: l.Profile, Code: l.Code, Reason: l.Reason, Command: cmp.Or(l.Command, l.Phase), Cause: l.Cause}
	for _, o := range l.Operations {
		word := doneWords[o.Op]
		switch {
		case o.Error != "":
			word = fmt.Sprintf("%s failed: %s", o.Op, o.Error)
		case !o.Done:
			word = ""
		case o.Op == policy.OpSweep:
			word = "swept " + o.File
		}
		if word != "" {
			e.Done = append(e.Done, word)
		}
	}
	return e, len(e.Done) > 0
}

// eventBytes bounds the lines whose events are held.
const eventBytes = 16 << 20

// addEvent adds the event of a line of so many bytes, and drops the oldest ones beyond the bounds.
func (r *runsReader) addEvent(l Line, size int) {
	event, ok := eventOf(l)
	if !ok || !r.asksFor(l.Profile) {
		return
	}
	event.size = size
	r.events, r.bytes = append(r.events, event), r.bytes+size
	for len(r.events) > r.query.Most || r.bytes > eventBytes {
		r.bytes -= r.events[0].size
		r.events[0] = Event{}
		r.events = r.events[1:]
	}
}
