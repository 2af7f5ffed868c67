package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Rollout says when which hosts of a fleet use a new revision of a bundle.
type Rollout struct {
	Steps []RolloutStep `config:"steps" json:"steps,omitempty"` // none: all hosts at once
	// Soak is the time in which a revision is on trial on a host; empty is none.
	Soak string `config:"soak" json:"soak,omitempty"`
}

// A RolloutStep opens a revision to hosts.
type RolloutStep struct {
	Percent int    `config:"percent" json:"percent,omitempty"` // of all hosts
	Label   string `config:"label" json:"label,omitempty"`     // name=value
	After   string `config:"after" json:"after,omitempty"`     // the time of the bundle; empty is at once
}

const mostSteps = 32

// Check checks what types cannot express.
func (r Rollout) Check() error {
	if _, err := duration(r.Soak); err != nil {
		return fmt.Errorf("soak is %w", err)
	}
	if len(r.Steps) > mostSteps {
		return fmt.Errorf("it has %d steps, want at most %d", len(r.Steps), mostSteps)
	}
	for i, s := range r.Steps {
		_, err := duration(s.After)
		name, _, isLabel := strings.Cut(s.Label, "=")
		switch {
		case err != nil:
			err = fmt.Errorf("after is %w", err)
		case s.Percent < 0 || s.Percent > 100:
			err = fmt.Errorf("percent is %d, want 1 to 100", s.Percent)
		case s.Label != "" && (!isLabel || name == ""):
			err = fmt.Errorf("label is %q, want name=value", s.Label)
		case s.Percent == 0 && s.Label == "":
			err = errors.New("want a percent or a label")
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// duration reads a time span with a unit; empty is none.
func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(cmp.Or(text, "0s"))
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q, want a duration with a unit, such as 30m", text)
	}
	return d, nil
}

// SoakTime is Soak of a rollout that was checked.
func (r Rollout) SoakTime() time.Duration {
	d, _ := duration(r.Soak)
	return d
}

// Wait says what a host with these labels waits for before it uses a bundle; nil is nothing. The
// bundle has a time as its sequence or its revision. The rollout was checked.
func (r Rollout) Wait(b Bundle, labels map[string]string, now time.Time) (*Waiting, error) {
	if len(r.Steps) == 0 {
		return nil, nil
	}
	kind, at := b.order()
	if kind != "time" {
		return nil, errors.New("its rollout has no begin: want a revision, or metadata.sequence, that is a time such as 2026-11-28T01:00:00Z")
	}
	begin, until := time.Unix(0, at).UTC(), time.Time{}
	host := hostPosition(labels["host"], b.Name())
	open, percent := []string{}, 0
	for _, s := range r.Steps {
		after, _ := duration(s.After)
		at := begin.Add(after)
		name, value, _ := strings.Cut(s.Label, "=")
		isHere := host < s.Percent || s.Label != "" && labels[name] == value
		if isHere && (until.IsZero() || at.Before(until)) {
			until = at
		}
		if now.Before(at) {
			continue
		}
		percent = max(percent, s.Percent)
		if s.Label != "" {
			open = append(open, s.Label)
		}
	}
	if !until.IsZero() && !now.Before(until) {
		return nil, nil
	}
	open = append([]string{fmt.Sprintf("%d %% of hosts", percent)}, open...)
	return &Waiting{b.Name(), Cut(fmt.Sprintf("%s, this one is at %d", strings.Join(open, " and "), host)), until}, nil
}

// hostPosition places a host between 0 and 99, at another place for each revision.
func hostPosition(host, revision string) int {
	sum := sha256.Sum256([]byte(host + "\x00" + revision))
	return int(binary.BigEndian.Uint64(sum[:]) % 100)
}
