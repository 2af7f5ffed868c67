package facts

import (
	"errors"
	"io/fs"
	"syscall"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// maxLogFiles bounds how many files of a log directory count. s6-log keeps eleven.
const maxLogFiles = 64

type logDirectoryFact struct {
	read.Outcome
	UID            *uint32 `json:"uid,omitempty" about:"user that owns the directory"`
	Lock           bool    `json:"lock" about:"s6-log's file lock exists; it stays when the logger is killed, so it does not prove that a logger runs"`
	LockAgeSeconds *int64  `json:"lock_age_seconds,omitempty" about:"seconds since lock was changed"`
	Bytes          int64   `json:"bytes" about:"size of the files in the directory, of at most 64 of them"`
}

// logDirectory is where the logger of a profile's slot writes: below the home, not in the
// profile.
func (c Config) logDirectory(dir policy.Directory) logDirectoryFact {
	name := LogDirectory(dir.Profile())
	if name == "" {
		return logDirectoryFact{Outcome: read.Outcome{Status: policy.StatusMissing}}
	}
	info, err := c.Root.Lstat(name)
	if err != nil {
		return logDirectoryFact{Outcome: read.OutcomeOf(err)}
	}
	if !info.IsDir() {
		return logDirectoryFact{Outcome: read.Outcome{Status: policy.StatusUnreadable, Error: "a link, or not a directory"}}
	}
	f := logDirectoryFact{Outcome: read.Recorded}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.UID = &st.Uid
	}
	entries, err := c.Root.ReadDir(name, maxLogFiles)
	if err != nil {
		f.Outcome = read.OutcomeOf(err)
		return f
	}
	if len(entries) == 0 {
		f.Status = policy.StatusEmpty
	}
	for _, entry := range entries {
		info, err := c.Root.Lstat(name + "/" + entry)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			f.Outcome = read.OutcomeOf(err)
			continue
		}
		if info.Mode().IsRegular() {
			f.Bytes += info.Size()
		}
		if entry == "lock" {
			f.Lock, f.LockAgeSeconds = true, new(max(0, int64(c.Now().Sub(info.ModTime()).Seconds())))
		}
	}
	return f
}

// LogDirectory is the directory of a profile's log, relative to the home. It is empty for a
// name that no slot can have.
func LogDirectory(p policy.Profile) string {
	entry := entryOf(p)
	if nameProblem(p, entry) != "" {
		return ""
	}
	return "logs/gateways/" + entry
}
