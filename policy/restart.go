package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Restart is how a slot answers the death of its gateway.
type Restart struct {
	Budget       *Budget           `json:"budget,omitempty"`
	ExitCodes    map[string]string `json:"exit_codes,omitempty"`    // what follows each ending: never, now, backoff or uncounted
	OnExhaustion string            `json:"on_exhaustion,omitempty"` // "hold" (the default) or "slow"
	HoldSeconds  float64           `json:"hold_seconds,omitempty"`  // how long a hold lasts; 0 is until something changes
	// ResetAfterSeconds is the length of a run that clears what was counted. With 0, a run
	// of ten minutes ends the pauses, and only the window of the budget forgets deaths.
	ResetAfterSeconds float64 `json:"reset_after_seconds,omitempty"`
	CountTerm         bool    `json:"count_term,omitempty"` // deaths by TERM, INT and HUP count
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

const (
	AnswerNever     = "never"     // stay down
	AnswerNow       = "now"       // start at once
	AnswerBackoff   = "backoff"   // start after a growing pause
	AnswerUncounted = "uncounted" // start at once; it is not a death that counts
)

var exitAnswers = []string{AnswerNever, AnswerNow, AnswerBackoff, AnswerUncounted}

// The endings that are no exit code and no signal.
const (
	EndingOOM   = "oom" // SIGKILL for want of memory
	EndingOther = "*"   // every ending without an answer of its own
)

var exitCodePattern = Pattern(`^(?:[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$`)

// signalNames are the signals that end a process, by their numbers on Linux.
var signalNames = map[int]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 10: "SIGUSR1",
	11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}

// askedFor are the signals by which people and programs ask a gateway to end.
var askedFor = []string{"SIGHUP", "SIGINT", "SIGTERM"}

type Ending struct {
	ExitCode int  // not from 0 to 255 when a signal ended it
	Signal   int  // 0 for none
	OOM      bool // a process was killed for want of memory while it ran
}

// Answer returns the answer to an ending; it may be "", which is AnswerNow. The exit code has
// precedence over "oom", and that over the signal. A program that handles a signal exits with
// 128 and the number, so the signal's answer counts then too. An ending without an answer of
// its own has a standard one, as upstream: 0 and 78 stay down, and a signal that asks a
// gateway to end does not count. The answer of "*" is the last.
func (r *Restart) Answer(e Ending) string {
	var names []string
	if e.ExitCode >= 0 && e.ExitCode <= 255 {
		names = append(names, strconv.Itoa(e.ExitCode))
		e.Signal = e.ExitCode - 128
	}
	signal := signalNames[e.Signal]
	if signal == "SIGKILL" && e.OOM {
		names = append(names, EndingOOM)
	}
	for _, name := range append(names, signal) {
		if answer, ok := r.ExitCodes[name]; ok {
			return answer
		}
	}
	switch {
	case e.ExitCode == 0 || e.ExitCode == 78:
		return AnswerNever
	case !r.CountTerm && slices.Contains(askedFor, signal):
		return AnswerUncounted
	}
	return r.ExitCodes[EndingOther]
}

func isEnding(name string) bool {
	return exitCodePattern().MatchString(name) || name == EndingOOM || name == EndingOther || slices.Contains(slices.Collect(maps.Values(signalNames)), name)
}

// examples are right values of the keys that are objects.
var examples = map[string]string{"budget": `{"deaths": 5, "window_seconds": 600}`, "exit_codes": `{"78": "never"}`}

func decodeObject(key string, value, into any) error {
	data, _ := json.Marshal(value) // decoded JSON encodes again
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %w; have %s", key, err, examples[key])
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
	for _, code := range slices.Sorted(maps.Keys(r.ExitCodes)) {
		answer := r.ExitCodes[code]
		if !isEnding(code) {
			return fmt.Errorf(`exit code %q is not a number from 0 to 255, a signal such as "SIGKILL", "oom" or "*"`, Cut(code))
		}
		if !slices.Contains(exitAnswers, answer) {
			return fmt.Errorf("exit code %s answers %q, have %s", code, Cut(answer), quoted(exitAnswers))
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
