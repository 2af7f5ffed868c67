package policy

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// SchemaVersion is the version of the input document and of the decision
// document. It grows when a field changes its meaning or goes away.
const SchemaVersion = 1

// The phases of the program as input.phase names them.
const (
	PhaseBoot  = "boot"
	PhaseApply = "apply"
)

// Input is the document that rules see as input. It has all profiles, so that rules can compare
// them.
type Input struct {
	SchemaVersion int              `json:"schema_version"`
	Phase         string           `json:"phase"`
	Now           Now              `json:"now"`
	Container     Facts            `json:"container"`
	Profiles      map[string]Facts `json:"profiles"`
	// Decisions is set only for the packages that run after the first combination.
	Decisions map[string]Verdict `json:"decisions,omitempty"`
	// Unread has the profiles that are known by their slots alone, and why their facts
	// could not be read. Their facts are empty.
	Unread map[string]string `json:"-"`
}

// Now is the clock as a fact, so that a run can be repeated.
type Now struct {
	UnixNS  int64  `json:"unix_ns"` // as the time builtins of Rego expect it
	RFC3339 string `json:"rfc3339"`
	Weekday string `json:"weekday"` // "Monday" to "Sunday", in Zone
	Minute  int    `json:"minute"`  // of the day, 0 to 1439, in Zone
	Zone    string `json:"zone"`    // the container's time zone
	// Problem is why the zone is UTC although TZ names another; empty: TZ is good.
	Problem string `json:"problem,omitempty"`
}

// zoneProblem is that of the variable TZ. Go takes UTC for what it does not know.
var zoneProblem = sync.OnceValue(func() string {
	name := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if _, err := time.LoadLocation(name); err == nil || time.Local.String() != "UTC" {
		return "" // an absolute path is known to time.Local only
	}
	return fmt.Sprintf("TZ is %q, which is no time zone here, so times of rules are in UTC: name one such as Europe/Berlin", name)
})

// NewNow describes t in its own time zone.
func NewNow(t time.Time) Now {
	zone, _ := t.Zone()
	return Now{
		Problem: zoneProblem(),
		UnixNS:  t.UnixNano(),
		RFC3339: t.Format(time.RFC3339),
		Weekday: t.Weekday().String(),
		Minute:  t.Hour()*60 + t.Minute(),
		Zone:    zone,
	}
}
