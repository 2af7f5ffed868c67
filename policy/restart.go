package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Restart is how a slot answers the death of its gateway.
type Restart struct {
	Budget       *Budget           `json:"budget,omitempty"`
	ExitCodes    map[string]string `json:"exit_codes,omitempty"`    // exit code -> "never", "now" or "backoff"
	OnExhaustion string            `json:"on_exhaustion,omitempty"` // "hold" (the default) or "slow"
	HoldSeconds  float64           `json:"hold_seconds,omitempty"`  // how long a hold lasts; 0 is until something changes
}

// Budget is a number of deaths in a window.
type Budget struct {
	Deaths        int     `json:"deaths"`
	WindowSeconds float64 `json:"window_seconds"`
}

// MaxDeaths is the largest budget that a rule may ask for.
const MaxDeaths = 4096

// MaxHoldSeconds is the longest hold that a rule may ask for: a year.
const MaxHoldSeconds = 366 * 24 * 3600

var exitAnswers = []string{"never", "now", "backoff"}

var exitCodePattern = regexp.MustCompile(`^(?:[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$`)

// assignRestart sets one key of a restart member, whose values may be objects.
func (c *Contribution) assignRestart(key string, value any) error {
	if c.Restart == nil {
		c.Restart = &Restart{}
	}
	data, err := json.Marshal(map[string]any{key: value})
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(c.Restart); err != nil {
		return fmt.Errorf(`%s: %w; have budget {"deaths": 5, "window_seconds": 600}, exit_codes {"78": "never"}, on_exhaustion "hold", hold_seconds 3600`, key, err)
	}
	return nil
}

func (r *Restart) check() error {
	if r.Budget == nil && len(r.ExitCodes) == 0 {
		return errors.New("has neither budget nor exit_codes")
	}
	if b := r.Budget; b != nil && b.WindowSeconds <= 0 {
		return fmt.Errorf("budget of %d deaths in %g s, want more than 0 s", b.Deaths, b.WindowSeconds)
	}
	for code, answer := range r.ExitCodes {
		if !exitCodePattern.MatchString(code) {
			return fmt.Errorf("exit code %q is not a number from 0 to 255", code)
		}
		if !slices.Contains(exitAnswers, answer) {
			return fmt.Errorf("exit code %s answers %q, have %s", code, answer, quoted(exitAnswers))
		}
	}
	if r.OnExhaustion != "" && r.OnExhaustion != "hold" && r.OnExhaustion != "slow" {
		return fmt.Errorf(`on_exhaustion is %q, have "hold", "slow"`, r.OnExhaustion)
	}
	if r.HoldSeconds > 0 && (r.Budget == nil || r.OnExhaustion == "slow") {
		return errors.New("hold_seconds goes with a budget whose on_exhaustion is hold")
	}
	return nil
}

// Compare orders restarts the same way in every run. Nil comes first.
func (r *Restart) Compare(o *Restart) int {
	if r == nil && o == nil {
		return 0
	}
	a, _ := json.Marshal(r) // plain values marshal, and map keys are sorted
	b, _ := json.Marshal(o)
	return bytes.Compare(a, b)
}
