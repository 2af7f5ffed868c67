// Package gatewaylog reads the log of a gateway, which s6-log writes on the volume: the file
// current, and the files that it was rotated to. The agent can write there too. So what is
// read is bounded, and no line is certain to be the gateway's.
package gatewaylog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// Bounds on what is read of one log.
const (
	maxNames = 1024     // in its directory
	maxFiles = 16       // the newest; s6-log keeps eleven
	maxBytes = 2 << 20  // of one file, from the end; s6-log rotates after 1 MB
	maxLine  = 64 << 10 // bytes; a longer line is cut, or left out
	MaxLines = 100_000
)

// A Query asks for the newest lines of a profile's log.
type Query struct {
	Profile string
	Most    int          // lines
	Since   time.Time    // zero: whenever they were written
	After   ledger.Place // zero: all
}

// A Line is one line of a log. One without a stamp has the time of the line before it.
type Line struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Profile       string         `json:"profile"`
	Time          *time.Time     `json:"time"` // nil: unknown
	Text          string         `json:"text"`
}

// Compare sorts by time. Lines of an unknown time come first.
func (l Line) Compare(other Line) int {
	return cmp.Or(l.Time, &time.Time{}).Compare(*cmp.Or(other.Time, &time.Time{}))
}

// Lines is the answer to a Query.
type Lines struct {
	Lines []Line // oldest first
	Place ledger.Place
	Notes []string // about what is left out
}

// Read reads the log in the directory dir of the home. A log that is missing, and something
// else in the place of current, are errors.
func Read(home policy.Directory, dir string, q Query) (found Lines, err error) {
	// s6-log may rotate the files meanwhile: then a name stands for another file.
	for range 5 {
		names := namesIn(home, dir)
		var current policy.File
		if current, err = home.Open(dir + "/current"); err == nil {
			current.Close()
			found = read(home, names, q)
		}
		if !errors.Is(err, fs.ErrNotExist) && (err != nil || slices.Equal(names, namesIn(home, dir))) {
			return found, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		err = fmt.Errorf("%w: no supervisor has served the slot on this volume, so the gateway never started", err)
	}
	return found, err
}

// namesIn lists the files of a log, the oldest first: those that are rotated have TAI64N
// stamps as names, and previous is one that s6-log is about to rename so.
func namesIn(home policy.Directory, dir string) (names []string) {
	listed, _ := home.ReadDir(dir, maxNames)
	for _, name := range listed {
		if name == "previous" || strings.HasPrefix(name, "@") {
			names = append(names, dir+"/"+name)
		}
	}
	return append(names[max(0, len(names)-maxFiles):], dir+"/current")
}

func read(home policy.Directory, names []string, q Query) (found Lines) {
	var last *time.Time
	found.Place, found.Notes = ledger.Scan(home, names, q.After, maxBytes, func(row []byte) bool {
		row, isWhole := bytes.CutSuffix(row, []byte{'\n'})
		if !isWhole {
			return false
		}
		text := string(row)
		if stamp, err := time.ParseInLocation(stampLayout, text[:min(len(text), len(stampLayout))], zone()); err == nil {
			last, text = new(stamp.Local()), text[len(stampLayout):]
		}
		if !q.Since.IsZero() && (last == nil || last.Before(q.Since)) {
			return true
		}
		found.Lines = append(found.Lines, Line{Profile: q.Profile, Time: last, Text: policy.CutTo(text, maxLine)})
		if len(found.Lines) > q.Most {
			found.Lines[0] = Line{}
			found.Lines = found.Lines[1:]
		}
		return true
	})
	if found.Place.Offset == 0 && len(found.Lines) == 0 && q.Since.IsZero() {
		found.Notes = append(found.Notes, "it is empty: the gateway never started, or printed nothing")
	}
	return found
}

// The directive T of s6-log begins each line with the local time, without a zone.
const stampLayout = "2006-01-02 15:04:05.000000000  "

// zone is that of the loggers. They have no TZ, so it is the system's.
var zone = sync.OnceValue(func() *time.Location {
	text, err := os.ReadFile("/etc/localtime")
	system, zoneErr := time.LoadLocationFromTZData("", text)
	if errors.Join(err, zoneErr) != nil {
		return time.UTC
	}
	return system
})
