package supervise

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// statusBytes writes a status file as s6-supervise does.
func statusBytes(size int, label uint64, pid uint64, wait uint16, flags byte) []byte {
	data := make([]byte, size)
	binary.BigEndian.PutUint64(data[0:8], label)
	binary.BigEndian.PutUint64(data[24:32], pid)
	binary.BigEndian.PutUint16(data[size-3:size-1], wait)
	data[size-1] = flags
	return data
}

func TestDecodeStatus(t *testing.T) {
	t.Parallel()
	const now = 1<<62 + 37 + 1790000000
	stamp := time.Unix(1790000000, 0)
	tests := map[string]struct {
		data []byte
		want Status
		ok   bool
	}{
		"up":             {statusBytes(35, now, 126, 0, 4), Status{Stamp: stamp, PID: 126, WantUp: true}, true},
		"up, with group": {statusBytes(43, now, 126, 0, 4|8), Status{Stamp: stamp, PID: 126, WantUp: true}, true},
		"killed by 9":    {statusBytes(35, now, 0, 9, 0), Status{Stamp: stamp, WaitCode: 9}, true},
		"finishing":      {statusBytes(35, now, 7, 78<<8, 2), Status{Stamp: stamp, PID: 7, WaitCode: 78 << 8, Finishing: true}, true},
		"senseless time": {statusBytes(35, 5, 7, 0, 1), Status{PID: 7}, true},
		"no such pid":    {statusBytes(35, now, 1<<40, 0, 4), Status{}, false},
		"empty":          {nil, Status{}, false},
		"between":        {make([]byte, 40), Status{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := decodeStatus(test.data)
			if diff := cmp.Diff(test.want, got); diff != "" || ok != test.ok {
				t.Errorf("decodeStatus: ok %v, want %v (-want +got):\n%s", ok, test.ok, diff)
			}
		})
	}
	if s, _ := decodeStatus(statusBytes(35, now, 0, 9, 0)); s.ExitCode() != 256 || s.Signal() != 9 || s.Up() || !s.Down() {
		t.Errorf("killed by 9: %+v: exit code %d, signal %d", s, s.ExitCode(), s.Signal())
	}
	if s, _ := decodeStatus(statusBytes(35, now, 7, 78<<8, 2)); s.ExitCode() != 78 || s.Signal() != 0 || s.Up() || s.Down() {
		t.Errorf("finishing: %+v: exit code %d, signal %d", s, s.ExitCode(), s.Signal())
	}
}

func TestDecodeDeaths(t *testing.T) {
	t.Parallel()
	record := func(seconds uint64) []byte {
		data := make([]byte, 14)
		binary.BigEndian.PutUint64(data, 1<<62+37+seconds)
		data[12], data[13] = 137, 9
		return data
	}
	first, last := time.Unix(1790000000, 0), time.Unix(1790000005, 0)
	want := Deaths{Count: 2, Last: last, Each: []Death{{first, 137, 9}, {last, 137, 9}}}
	if diff := cmp.Diff(want, decodeDeaths(append(record(1790000000), record(1790000005)...))); diff != "" {
		t.Errorf("decodeDeaths (-want +got):\n%s", diff)
	}
	for _, data := range [][]byte{nil, record(1790000000)[:13]} {
		if got := decodeDeaths(data); got.Count > 0 || got.Each != nil || !got.Last.IsZero() {
			t.Errorf("decodeDeaths of %d bytes: got %+v, want none", len(data), got)
		}
	}
}

func FuzzDecodeStatus(f *testing.F) {
	f.Add(statusBytes(35, 1<<62+37+1790000000, 126, 0, 4))
	f.Add(statusBytes(43, 1<<62, 0, 0xffff, 0xff))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, ok := decodeStatus(data)
		if ok && len(data) != 35 && len(data) != 43 {
			t.Errorf("%d bytes are a status", len(data))
		}
		if s.PID < 0 || s.Up() && s.Down() || s.ExitCode() < 0 || s.ExitCode() > 256 {
			t.Errorf("%x: %+v", data, s)
		}
		if !s.Stamp.IsZero() && (s.Stamp.Year() < 1969 || s.Stamp.Year() > 2201) {
			t.Errorf("%x: %v", data, s.Stamp)
		}
	})
}

func FuzzDecodeDeaths(f *testing.F) {
	f.Add(make([]byte, 28))
	f.Fuzz(func(t *testing.T, data []byte) {
		deaths := decodeDeaths(data)
		whole := len(data)%14 == 0
		if whole && deaths.Count*14 != len(data) || !whole && deaths.Count > 0 || deaths.Count != len(deaths.Each) {
			t.Errorf("%d bytes: %+v", len(data), deaths)
		}
	})
}
