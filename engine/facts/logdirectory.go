package facts

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"hermes-reconcile/policy"
)

// maxLogFiles bounds how many files of a log directory are looked at; s6-log
// keeps eleven.
const maxLogFiles = 64

type logDirectoryFact struct {
	outcome
	UID            *uint32 `json:"uid,omitempty"`
	Lock           bool    `json:"lock"`
	LockAgeSeconds *int64  `json:"lock_age_seconds,omitempty"`
	Bytes          int64   `json:"bytes"`
}

// logDirectory is where the logger of a profile's slot writes: below the home,
// not in the profile.
func logDirectory(c Config) ProfileSource {
	return ProfileSource{"log_directory", logDirectorySchema, func(_ context.Context, dir policy.Directory) (any, error) {
		entry := entryOf(dir.Profile())
		if nameProblem(dir.Profile(), entry) != "" {
			return logDirectoryFact{outcome: outcome{Status: policy.StatusMissing}}, nil
		}
		return c.describeLogDirectory("logs/gateways/" + entry), nil
	}}
}

func logDirectorySchema() string {
	return fact(byAgent, "the directory that the slot's logger writes to, logs/gateways/<profile> in the home; missing too for a name that no slot can have", properties{
		"uid":              integer("user that owns it"),
		"lock":             boolean("s6-log's file lock is there; it stays when the logger is killed, and alone it says nothing"),
		"lock_age_seconds": integer("seconds since lock was changed"),
		"bytes":            integer("size of the files in it, 64 of them at most"),
	})
}

func (c Config) describeLogDirectory(name string) logDirectoryFact {
	info, err := c.Root.Lstat(name)
	if err != nil {
		return logDirectoryFact{outcome: outcomeOf(err)}
	}
	if !info.IsDir() {
		return logDirectoryFact{outcome: outcome{policy.StatusUnreadable, "a link, or not a directory"}}
	}
	f := logDirectoryFact{outcome: recorded}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.UID = &st.Uid
	}
	entries, _, err := c.Root.ReadDir(name, maxLogFiles)
	if err != nil {
		f.outcome = outcomeOf(err)
		return f
	}
	if len(entries) == 0 {
		f.Status = policy.StatusEmpty
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			f.outcome = outcomeOf(err)
			continue
		}
		if info.Mode().IsRegular() {
			f.Bytes += info.Size()
		}
		if e.Name() == "lock" {
			age := max(0, int64(c.Now().Sub(info.ModTime()).Seconds()))
			f.Lock, f.LockAgeSeconds = true, &age
		}
	}
	return f
}
