package policy

import (
	"cmp"
	"fmt"
)

// Slots is the fact "s6": who supervises the scan directory and which slots are in it.
type Slots struct {
	Status    string          `json:"status"`
	Running   *bool           `json:"running,omitempty"` // an s6-svscan works on it; absent: this user may not know
	SvscanPID int             `json:"svscan_pid,omitempty"`
	Manager   string          `json:"manager"`
	ScanDir   ScanDir         `json:"scandir"`
	Slots     map[string]Slot `json:"slots"`           // by the name of the service directory
	Watch     *Slot           `json:"watch,omitempty"` // the service WatchSlot; nil: there is none
	Leftovers []Leftover      `json:"leftovers"`
	Capacity  Capacity        `json:"capacity"`
}

type ScanDir struct {
	Path     string `json:"path"`
	Status   string `json:"status"`
	Error    string `json:"error,omitempty"`
	Writable bool   `json:"writable"`
	More     bool   `json:"more"` // there are more entries than were looked at
}

// A Slot is one service directory gateway-<profile>, or that of WatchSlot, which has no profile.
type Slot struct {
	Profile          string `json:"profile"`
	Kind             string `json:"kind"` // "directory", "link" and so on
	Status           string `json:"status"`
	Error            string `json:"error,omitempty"`
	Ours             bool   `json:"ours"` // this program made it
	DownFile         bool   `json:"down_file"`
	Supervised       *bool  `json:"supervised,omitempty"` // absent: this user may not know
	LoggerSupervised *bool  `json:"logger_supervised,omitempty"`
	Up               bool   `json:"up"`
	PID              int    `json:"pid,omitempty"`
	StartTime        int64  `json:"start_time,omitempty"` // of the gateway, in clock ticks since the kernel's boot
	WantedUp         bool   `json:"wanted_up"`
	SinceUnix        int64  `json:"since_unix,omitempty"` // of the last change between up and down
	ExitCode         *int   `json:"exit_code,omitempty"`
	Signal           int    `json:"signal,omitempty"`
	Deaths           int    `json:"deaths"`                       // since the supervisor started; s6 counts to 100
	RecentDeaths     int    `json:"recent_deaths,omitempty"`      // of the last ten minutes, without those by an operator's signal
	Changed          bool   `json:"changed,omitempty"`            // it runs with an older run script than the slot has
	WaitingUntilUnix int64  `json:"waiting_until_unix,omitempty"` // when its gateway is started
}

// LoopDeaths is how many RecentDeaths are a crash loop.
const LoopDeaths = 3

// Ending describes how the gateway ended last.
func (s Slot) Ending() string {
	switch {
	case s.Signal != 0:
		return fmt.Sprintf("signal %d", s.Signal)
	case s.ExitCode != nil:
		return fmt.Sprintf("exit code %d", *s.ExitCode)
	}
	return "no record of its end"
}

// A Leftover is what an interrupted run left in the scan directory.
type Leftover struct {
	Name       string `json:"name"`
	UID        int    `json:"uid"`
	Mode       string `json:"mode"`
	AgeSeconds int64  `json:"age_seconds"`
}

// A Capacity is how many gateways the s6-svscan of the scan directory can hold.
type Capacity struct {
	Places   int    `json:"places"`
	Used     int    `json:"used"`
	Gateways int    `json:"gateways"`
	Source   string `json:"source"` // "svscan_arguments", "default" or "open_files"
}

// SlotsOf reads the fact "s6" of the container. A missing or invalid fact has the
// status StatusFailed.
func SlotsOf(container Facts) Slots {
	s := read[Slots](container, "s6")
	s.Status = cmp.Or(s.Status, StatusFailed)
	return s
}

// Known reports whether a slot that is not listed does not exist.
func (s Slots) Known() bool { return s.Status == StatusRecorded || s.Status == StatusMissing }

// Unsupervised counts the slots that no supervisor holds.
func (s Slots) Unsupervised() (n int) {
	for _, slot := range s.Slots {
		if slot.Now() == NowNobody {
			n++
		}
	}
	return n
}

// ByProfile returns the slots by the profile that each belongs to.
func (s Slots) ByProfile() map[string]Slot {
	slots := make(map[string]Slot, len(s.Slots))
	for _, slot := range s.Slots {
		slots[slot.Profile] = slot
	}
	return slots
}

// The words for how a slot is now.
const (
	NowUp      = "up"
	NowDown    = "down"
	NowWaiting = "waiting"        // its slot is up, and its gateway is not started yet
	NowNobody  = "not supervised" // no supervisor holds it
	NowNothing = "-"              // there is no slot
	NowUnknown = "?"
)

// Now returns how the slot is. Up is what the supervisor's lock, its status and the
// process agree on; the fact has compared them.
func (s Slot) Now() string {
	switch {
	case s.Kind != "directory", s.Supervised == nil:
		return NowUnknown
	case !*s.Supervised:
		return NowNobody
	case s.Status == StatusInvalid:
		return NowUnknown
	case s.Up && s.WaitingUntilUnix > 0:
		return NowWaiting
	case s.Up:
		return NowUp
	}
	return NowDown
}

// The words for what the slot says of the next supervisor.
const (
	SlotUp      = "up"
	SlotDown    = "down" // it has a down file
	SlotNone    = "none"
	SlotUnknown = "?"
)

// Words describes the slot of a profile, which may not exist, in two words.
func (s Slots) Words(slot Slot, exists bool) (file, now Maybe) {
	switch {
	case !exists && s.Known():
		return SlotNone, NowNothing
	case !exists, slot.Kind != "directory":
		return SlotUnknown, NowUnknown
	case slot.DownFile:
		return SlotDown, Maybe(slot.Now())
	}
	return SlotUp, Maybe(slot.Now())
}

// SlotPrefix starts the name of every slot.
const SlotPrefix = "gateway-"

// WatchSlot is the name of the service directory of the service that watches.
const WatchSlot = "hermes-reconcile"

// SlotName returns the name of the service directory of a profile.
func SlotName(profile string) string { return SlotPrefix + profile }
