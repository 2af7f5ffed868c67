package policy

import "time"

// A RestartHold is what the finish script of a slot records when a gateway has used up its
// budget of deaths. The gateway stays down, over boots too, until the time is over, one of
// HoldFiles changes, or an operator releases it. The agent can write the record, so a record
// can only keep a gateway down.
type RestartHold struct {
	SinceUnix     int64   `json:"since_unix"`
	UntilUnix     int64   `json:"until_unix,omitempty"` // 0: no end by time
	Deaths        int     `json:"deaths"`
	WindowSeconds float64 `json:"window_seconds"`
	ExitCode      int     `json:"exit_code"` // of the last death; 256 when a signal ended it
	Signal        int     `json:"signal,omitempty"`
	// Files has the identity of each of HoldFiles at that time, except of missing files.
	Files map[string]string `json:"files"`
}

// An Override cancels the holds of one rule for a profile, at an operator's command. It
// lasts until Until. Without Until, it lasts until the container starts again.
type Override struct {
	Profile string `json:"profile"`
	Rule    string `json:"rule"`
	Code    string `json:"code"`            // of the hold
	Until   string `json:"until,omitempty"` // RFC 3339
	AtUnix  int64  `json:"at_unix"`         // when it was given
	Start   string `json:"container_start"` // identifies the start of the container
	Command string `json:"command"`         // "start --override" or "release"
}

// Active reports whether an override still applies in the container whose start is
// identified by start, which is empty when it is unknown. An override that a clock dates into
// the future lasts at most its length from now.
func (o Override) Active(now time.Time, start string) bool {
	if o.Until == "" {
		return start != "" && o.Start == start
	}
	until, err := time.Parse(time.RFC3339, o.Until)
	ahead := max(0, time.Unix(o.AtUnix, 0).Sub(now))
	return err == nil && now.Before(until.Add(-ahead))
}

// OverridesFile is the file in the state directory that lists every Override. It is outside
// the volume and belongs to root, because an agent must not be able to cancel a hold.
const OverridesFile = "overrides.json"
