package s6

import (
	"encoding/binary"
	"fmt"
	"time"
)

// A status is what s6-supervise wrote about its service. It can be out of date: it is
// valid only while the supervisor holds its lock, and a supervisor on a full file
// system cannot write a new one.
type status struct {
	Stamp     time.Time // of the last change; zero when it is invalid
	PID       int       // of the service, or of its finish script; 0 for none
	WaitCode  uint16    // as wait(2) reported the last death
	Paused    bool
	Finishing bool
	WantUp    bool
	Ready     bool
}

// The two layouts of the status file, seen with s6 2.11 to 2.15: 2.13.0 to
// 2.13.2 have the process group between pid and wait status.
const (
	statusSize      = 35
	statusSizeGroup = 43
)

// Up reports whether the service itself runs.
func (s status) Up() bool { return s.PID > 0 && !s.Finishing }

// Down reports whether neither the service nor its finish script runs.
func (s status) Down() bool { return s.PID == 0 }

// ExitCode is the exit code of the last death as the finish script sees it: 256
// when a signal ended the service.
func (s status) ExitCode() int {
	if s.Signal() != 0 {
		return 256
	}
	return int(s.WaitCode >> 8)
}

// Signal is the signal that ended the service, 0 for none.
func (s status) Signal() int { return int(s.WaitCode & 0x7f) }

// ending describes how the service last ended.
func (s status) ending() string {
	if s.Signal() != 0 {
		return fmt.Sprintf("signal %d", s.Signal())
	}
	return fmt.Sprintf("exit code %d", s.ExitCode())
}

// decodeStatus parses a status file; ok is false for any other size, and for a pid
// that no Linux has.
func decodeStatus(data []byte) (s status, ok bool) {
	if len(data) != statusSize && len(data) != statusSizeGroup {
		return status{}, false
	}
	pid := binary.BigEndian.Uint64(data[24:32])
	if pid > 1<<22 {
		return status{}, false
	}
	tail := data[len(data)-3:]
	flags := tail[2]
	return status{
		Stamp:     decodeTAI64N(data[0:12]),
		PID:       int(pid),
		WaitCode:  binary.BigEndian.Uint16(tail[0:2]),
		Paused:    flags&1 != 0,
		Finishing: flags&2 != 0,
		WantUp:    flags&4 != 0,
		Ready:     flags&8 != 0,
	}, true
}

// A death is one record of the death_tally file.
type death struct {
	At       time.Time
	ExitCode int // 128 plus the signal when one ended the service
	Signal   int
}

const deathSize = 14

// decodeDeaths parses a death_tally file: the deaths since the supervisor
// started, oldest first, at most max-death-tally of them (100 by default). ok is
// false when the size is not that of whole records.
func decodeDeaths(data []byte) (deaths []death, ok bool) {
	if len(data)%deathSize != 0 {
		return nil, false
	}
	for ; len(data) > 0; data = data[deathSize:] {
		deaths = append(deaths, death{
			At:       decodeTAI64N(data[:12]),
			ExitCode: int(data[12]),
			Signal:   int(data[13]),
		})
	}
	return deaths, true
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
