package facts

import (
	"context"
	"errors"
	"io/fs"

	"hermes-reconcile/policy"
)

type restartHoldFact struct {
	outcome
	SinceUnix     *int64   `json:"since_unix,omitempty"`
	UntilUnix     *int64   `json:"until_unix,omitempty"`
	Deaths        *int64   `json:"deaths,omitempty"`
	WindowSeconds *float64 `json:"window_seconds,omitempty"`
	ExitCode      *int64   `json:"exit_code,omitempty"`
	Signal        *int64   `json:"signal,omitempty"`
	ChangedFiles  []string `json:"changed_files"`
	Ended         string   `json:"ended"`
}

// restartHold is what the slot recorded when the gateway had used up its budget of
// deaths, and whether that still counts.
func restartHold(c Config) ProfileSource {
	return ProfileSource{"restart_hold", restartHoldSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		keys, out := readObject(dir, policy.RestartHoldFile, maxState)
		return describeRestartHold(keys, out, c.Now().Unix(), func(name string) (string, bool) {
			info, err := dir.Lstat(name)
			if err != nil {
				return "", errors.Is(err, fs.ErrNotExist)
			}
			return identityOf(info), true
		}), nil
	}}
}

func restartHoldSchema() string {
	return fact(byAgent, "the gateway used up its budget of deaths, from "+policy.RestartHoldFile+"; it stays down until that ends", properties{
		"since_unix":     integer("when, in seconds since 1970; one in the future counts as now"),
		"until_unix":     integer("when it ends, in seconds since 1970; absent when it does not end by time"),
		"deaths":         integer("how many deaths there were"),
		"window_seconds": number("within how many seconds"),
		"exit_code":      integer("of the last death; 256 when a signal ended it"),
		"signal":         integer("that signal; absent without one"),
		"changed_files":  list("those of .env and config.yaml that changed since, came or went", text("file")),
		"ended":          word("empty while it counts; time: its time is over; changed: a file changed", "", "time", "changed"),
	})
}

// describeRestartHold keeps what is known of a record; identity says what a file is
// now, and whether that could be known. A record without a time and a number of
// deaths is invalid.
func describeRestartHold(keys fields, out outcome, now int64, identity func(name string) (string, bool)) restartHoldFact {
	f := restartHoldFact{outcome: out, ChangedFiles: []string{}}
	if out.Status != policy.StatusRecorded {
		return f
	}
	since, deaths := keys.moment("since_unix"), keys.integer("deaths")
	if since == nil || deaths == nil || *deaths < 0 {
		f.outcome = invalid("since_unix or deaths is no number, or is missing")
		return f
	}
	*since = min(*since, now)
	f.SinceUnix, f.Deaths = since, deaths
	if until := keys.moment("until_unix"); until != nil && *until > 0 {
		f.UntilUnix = until
	}
	f.WindowSeconds = value[float64](&keys, "window_seconds")
	f.ExitCode = keys.integer("exit_code")
	if signal := keys.integer("signal"); signal != nil && *signal > 0 {
		f.Signal = signal
	}
	f.ChangedFiles = changedFiles(keys.object("files"), identity)
	switch {
	case len(f.ChangedFiles) > 0:
		f.Ended = "changed"
	case f.UntilUnix != nil && *f.UntilUnix <= now:
		f.Ended = "time"
	}
	return f
}

// changedFiles compares the identities of the files with the recorded ones. A file without
// a record, or whose identity is unknown now, has not changed.
func changedFiles(was *fields, identity func(name string) (string, bool)) []string {
	changed := []string{}
	if was == nil {
		return changed
	}
	for _, name := range policy.HoldFiles() {
		before := ""
		if recorded := was.text(name, maxWord); recorded != nil {
			before = *recorded
		}
		if after, known := identity(name); known && after != before {
			changed = append(changed, name)
		}
	}
	return changed
}
