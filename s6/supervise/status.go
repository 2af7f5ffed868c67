package supervise

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy/beneath"
)

const StatusFile = "supervise/status"

// A Status is what s6-supervise wrote about its service. It is valid only while the
// supervisor holds its lock, and a supervisor on a full file system cannot write a new
// one.
type Status struct {
	Stamp     time.Time // of the last change; zero when it is invalid
	PID       int       // of the service, or of its finish script; 0 for none
	WaitCode  uint16    // as wait(2) reported the last death
	Finishing bool
	WantUp    bool
}

// ReadStatus reads the status of a service directory; ok is false when the file is
// missing or invalid.
func ReadStatus(dir beneath.Dir) (s Status, ok bool) {
	data, _ := dir.Read(StatusFile)
	return decodeStatus(data)
}

// Up reports whether the service itself runs.
func (s Status) Up() bool { return s.PID > 0 && !s.Finishing }

// Down reports whether neither the service nor its finish script runs.
func (s Status) Down() bool { return s.PID == 0 }

// ExitCode is the exit code of the last death as the finish script sees it: 256
// when a signal ended the service.
func (s Status) ExitCode() int {
	if s.Signal() != 0 {
		return 256
	}
	return int(s.WaitCode >> 8)
}

// Signal is the signal that ended the service, 0 for none.
func (s Status) Signal() int { return int(s.WaitCode & 0x7f) }

// Ending describes how the service last ended.
func (s Status) Ending() string {
	if s.Signal() != 0 {
		return fmt.Sprintf("signal %d", s.Signal())
	}
	return fmt.Sprintf("exit code %d", s.ExitCode())
}

// The two layouts of the status file: s6 2.13.0 to 2.13.2 have the process group between
// pid and wait status.
const (
	statusSize      = 35
	statusSizeGroup = 43
)

// decodeStatus parses a status file; ok is false for any other size, and for a pid
// that no Linux has.
func decodeStatus(data []byte) (s Status, ok bool) {
	if len(data) != statusSize && len(data) != statusSizeGroup {
		return Status{}, false
	}
	pid := binary.BigEndian.Uint64(data[24:32])
	if pid > 1<<22 {
		return Status{}, false
	}
	tail := data[len(data)-3:]
	return Status{
		Stamp:     decodeTAI64N(data[0:12]),
		PID:       int(pid),
		WaitCode:  binary.BigEndian.Uint16(tail[0:2]),
		Finishing: tail[2]&2 != 0,
		WantUp:    tail[2]&4 != 0,
	}, true
}

// Deaths sums up the death_tally file: the deaths of a service since its supervisor
// started. s6 keeps at most max-death-tally of them (100 by default).
type Deaths struct {
	Count int
	Last  time.Time // zero without a death
	Each  []Death   // oldest first
}

type Death struct {
	At       time.Time
	ExitCode int // 128 and the signal when a signal ended it
	Signal   int // 0 for none
}

// Within counts the deaths of the last time. Deaths by a signal that operators send do not
// count.
func (d Deaths) Within(last time.Duration) (n int) {
	for _, death := range d.Each {
		switch age := time.Since(death.At); unix.Signal(death.Signal) {
		case unix.SIGTERM, unix.SIGINT, unix.SIGHUP:
		default:
			if age >= 0 && age <= last {
				n++
			}
		}
	}
	return n
}

// ReadDeaths reads the deaths of a service directory. It returns none when the file is
// missing or invalid.
func ReadDeaths(dir beneath.Dir) Deaths {
	data, _ := dir.Read("supervise/death_tally")
	return decodeDeaths(data)
}

// deathSize is the size of a record: a TAI64N label, the exit code and the signal.
const deathSize = 14

func decodeDeaths(data []byte) (d Deaths) {
	if len(data)%deathSize != 0 {
		return d
	}
	for record := range slices.Chunk(data, deathSize) {
		d.Last = decodeTAI64N(record)
		d.Each = append(d.Each, Death{At: d.Last, ExitCode: int(record[deathSize-2]), Signal: int(record[deathSize-1])})
	}
	d.Count = len(d.Each)
	return d
}

// leapSeconds is the difference between TAI and UTC since 2017.
const leapSeconds = 37

// decodeTAI64N parses a TAI64N label. It returns the zero time for a label outside of
// the years 1970 to 2200, or with more than a second of nanoseconds.
func decodeTAI64N(label []byte) time.Time {
	seconds := binary.BigEndian.Uint64(label[0:8])
	nanoseconds := binary.BigEndian.Uint32(label[8:12])
	const epoch, end = 1<<62 + leapSeconds, 1<<62 + 7258118400
	if seconds < epoch || seconds > end || nanoseconds >= 1e9 {
		return time.Time{}
	}
	return time.Unix(int64(seconds-epoch), int64(nanoseconds))
}
