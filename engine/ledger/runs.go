package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"hermes-reconcile/policy"
)

// A Query selects the newest runs of the ledger, for some profiles or, without any, for
// all.
type Query struct {
	Profiles []string
	Most     int // runs
}

// Runs is the answer to a Query.
type Runs struct {
	Runs  []Run
	Names []string // the profiles in the ledger or on the volume, sorted
	Notes []string // about files and lines that could not be read
}

// A Run is one boot, or one apply, without its contributions and operations.
type Run struct {
	Time      string
	Container *Line // nil when its line is lost
	Profiles  []Line
}

// runsLines bounds how many lines are held. Beyond it the oldest runs are dropped.
const runsLines = 200_000

// A runsReader collects lines into runs, oldest first.
type runsReader struct {
	query Query
	runs  []Run
	lines int // held
	names map[string]bool
}

// ReadRuns reads the ledger and the file that it was rotated to. Invalid lines, which an
// interrupted run leaves, become notes.
func ReadRuns(home policy.Directory, q Query) Runs {
	r := &runsReader{query: q, names: map[string]bool{}}
	var result Runs
	for _, name := range []string{"logs/container-boot.jsonl.1", "logs/container-boot.jsonl"} {
		file, err := home.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			result.Notes = append(result.Notes, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		for _, note := range r.read(file) {
			result.Notes = append(result.Notes, name+": "+note)
		}
		file.Close()
	}
	result.Runs = r.runs
	for name := range r.names {
		result.Names = append(result.Names, name)
	}
	return result
}

// read adds the lines of one file, and returns notes about lines that are left out.
func (r *runsReader) read(file policy.File) (notes []string) {
	info, err := file.Stat()
	if err != nil {
		return []string{err.Error()}
	}
	from := max(0, info.Size()-maxBytes)
	reader := bufio.NewReaderSize(io.NewSectionReader(file, from, maxBytes), MaxLine)
	nonsense, torn, inPart := 0, false, from > 0
	for {
		text, err := reader.ReadSlice('\n')
		isPart := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case len(bytes.TrimSpace(text)) == 0:
		case inPart: // the rest of a line that is left out
		case isPart:
			nonsense++
		case errors.Is(err, io.EOF):
			torn = !r.addLine(text)
		case !r.addLine(text):
			nonsense++
		}
		inPart = isPart
		if err != nil && !isPart {
			if !errors.Is(err, io.EOF) {
				notes = append(notes, err.Error())
			}
			break
		}
	}
	if nonsense > 0 {
		notes = append(notes, fmt.Sprintf("%s no record and left out", countedAre(nonsense, "line")))
	}
	if torn {
		notes = append(notes, "the last line is torn, as an interrupted run leaves it")
	}
	return notes
}

func countedAre(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}

// addLine parses one ledger line, adds it and reports whether it was valid.
func (r *runsReader) addLine(text []byte) bool {
	var l Line
	if json.Unmarshal(text, &l) != nil || l.Time == "" || l.Action == "" {
		return false
	}
	l.Rules, l.Operations = nil, nil
	if l.Profile == "" {
		r.add(Run{Time: l.Time, Container: &l})
		return true
	}
	if len(r.names) < runsLines {
		r.names[l.Profile] = true
	}
	if !r.begun(l) {
		r.add(Run{Time: l.Time})
	}
	if len(r.query.Profiles) == 0 || slices.Contains(r.query.Profiles, l.Profile) {
		last := &r.runs[len(r.runs)-1]
		last.Profiles = append(last.Profiles, l)
		r.lines++
		r.shed()
	}
	return true
}

// begun reports whether a line belongs to the last run. A run writes a profile once.
func (r *runsReader) begun(l Line) bool {
	if len(r.runs) == 0 {
		return false
	}
	last := r.runs[len(r.runs)-1]
	if last.Time != l.Time {
		return false
	}
	n := len(last.Profiles)
	return n == 0 || last.Profiles[n-1].Profile != l.Profile
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
