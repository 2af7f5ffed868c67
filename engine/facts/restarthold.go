package facts

import (
	"errors"
	"io/fs"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type restartHoldFact struct {
	read.Outcome
	SinceUnix     *int64   `json:"since_unix,omitempty" about:"when, in seconds since 1970; a time in the future counts as now"`
	UntilUnix     *int64   `json:"until_unix,omitempty" about:"when the hold ends, in seconds since 1970; at most its length from now; absent when it does not end by time"`
	Deaths        *int64   `json:"deaths,omitempty" about:"how often the gateway died"`
	WindowSeconds *float64 `json:"window_seconds,omitempty" about:"within how many seconds"`
	ExitCode      *int64   `json:"exit_code,omitempty" about:"of the last death; 256 when a signal ended it"`
	Signal        *int64   `json:"signal,omitempty" about:"the signal that ended it; absent without a signal"`
	ChangedFiles  []string `json:"changed_files" about:"those of .env and config.yaml that were changed, created or removed since" of:"file"`
	Ended         string   `json:"ended" about:"empty while the hold counts; time: its time is over; changed: a file changed" words:",time,changed"`
}

// restartHold is the hold that the slot recorded when the gateway had used up its budget of
// deaths, and whether it still counts.
func (c Config) restartHold(dir policy.Directory) restartHoldFact {
	keys, out := read.JSON(dir, policy.RestartHoldFile, read.MaxState)
	return describeRestartHold(keys, out, c.Now().Unix(), func(name string) (string, bool) {
		info, err := dir.Lstat(name)
		if err != nil {
			return "", errors.Is(err, fs.ErrNotExist)
		}
		return policy.Identity(info), true
	})
}

// describeRestartHold describes a record. identity returns the present identity of a file, and
// whether it is known. A record without a time and a number of deaths is invalid.
func describeRestartHold(keys read.Object, out read.Outcome, now int64, identity func(name string) (string, bool)) restartHoldFact {
	f := restartHoldFact{Outcome: out, ChangedFiles: []string{}}
	if out.Status != policy.StatusRecorded {
		return f
	}
	since, deaths := keys.Moment("since_unix"), keys.Integer("deaths")
	if since == nil || deaths == nil || *deaths < 0 {
		f.Outcome = read.Invalid("since_unix or deaths is missing or is not a number")
		return f
	}
	if until := keys.Moment("until_unix"); until != nil && *until > 0 {
		// A clock that was ahead must not prolong the hold.
		f.UntilUnix = new(*until - max(0, *since-now))
	}
	*since = min(*since, now)
	f.SinceUnix, f.Deaths = since, deaths
	f.WindowSeconds = read.Value[float64](&keys, "window_seconds")
	f.ExitCode = keys.Integer("exit_code")
	if signal := keys.Integer("signal"); signal != nil && *signal > 0 {
		f.Signal = signal
	}
	f.ChangedFiles = changedFiles(keys.Object("files"), identity)
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
func changedFiles(was *read.Object, identity func(name string) (string, bool)) []string {
	changed := []string{}
	if was == nil {
		return changed
	}
	for _, name := range policy.HoldFiles() {
		before := ""
		if recorded := was.Text(name, maxWord); recorded != nil {
			before = *recorded
		}
		if after, known := identity(name); known && after != before {
			changed = append(changed, name)
		}
	}
	return changed
}
