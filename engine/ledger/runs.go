package ledger

import (
	"cmp"
	"encoding/json"
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
