package facts

import (
	"time"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

type previousFact struct {
	read.Outcome
	previousPass
	BootID   string `json:"boot_id,omitempty" about:"the boot of the kernel then; input.container.host.boot_id is the present one"`
	Image    string `json:"image,omitempty" about:"version of the image then; input.container.image.version is the present one"`
	Revision string `json:"policy_revision,omitempty" about:"revision of the rules then"`
	Fallback bool   `json:"fallback" about:"the operator's rules could not be used then"`
	Errors   int    `json:"errors" about:"how many errors the pass had that are not about a profile"`
}

type previousProfileFact struct {
	read.Outcome
	previousPass
	PriorState string `json:"prior_state,omitempty" about:"the recorded state that it found"`
	PriorExit  string `json:"prior_exit,omitempty" about:"how the gateway before it had ended, as lifecycle.exit was then"`
}

// previousPass is what the ledger has of a pass, whatever it is about.
type previousPass struct {
	TimeUnix *int64 `json:"time_unix,omitempty" about:"when, in seconds since 1970"`
	Phase    string `json:"phase,omitempty" about:"boot or apply"`
	Command  string `json:"command,omitempty" about:"the command that made the pass; absent at a boot"`
	Action   string `json:"action,omitempty" about:"what was done: reconciled, skipped or failed with the container; started, registered or skipped with a profile"`
	Code     string `json:"code,omitempty" about:"why, as a stable word"`
}

// lastRun is the end of the ledger.
type lastRun struct {
	container *ledger.Summary
	profiles  map[string]ledger.Summary
	out       read.Outcome // of the file
}

func (c Config) readLastRun() lastRun {
	container, profiles, err := ledger.Last(c.Root)
	return lastRun{container, profiles, read.OutcomeOf(err)}
}

const aboutPrevious = "from the last MiB of logs/" + ledger.Name + ". The agent can write this file, so the fact is no reason to grant anything"

// previous is what the last pass did with the container.
func previous(c Config) Source {
	return containerFact("previous", byAgent, "what the ledger has of the last pass, "+aboutPrevious, func() previousFact {
		last := c.lastRun()
		if last.container == nil {
			return previousFact{Outcome: last.outcome()}
		}
		s := *last.container
		return previousFact{
			Outcome: read.Recorded, previousPass: passOf(s), BootID: shownWord(s.BootID), Image: shownWord(s.Image),
			Revision: shownWord(s.Policy.Revision), Fallback: s.Policy.Fallback, Errors: len(s.Errors),
		}
	})
}

// previousOf is what the last pass about a profile decided.
func previousOf(c Config) ProfileSource {
	return profileFact("previous", byAgent, "what the ledger has of the last pass that decided about the profile, "+aboutPrevious, func(dir policy.Directory) previousProfileFact {
		last := c.lastRun()
		s, ok := last.profiles[dir.Profile().Name]
		if !ok {
			return previousProfileFact{Outcome: last.outcome()}
		}
		return previousProfileFact{read.Recorded, passOf(s), shownWord(s.PriorState), shownWord(s.PriorExit)}
	})
}

// outcome is that of a ledger without a line.
func (l lastRun) outcome() read.Outcome {
	if l.out.Status == "" {
		return read.Outcome{Status: policy.StatusMissing}
	}
	return l.out
}

func passOf(s ledger.Summary) previousPass {
	p := previousPass{Phase: shownWord(s.Phase), Command: shownWord(s.Command), Action: shownWord(s.Action), Code: shownWord(s.Code)}
	if t, err := time.Parse(time.RFC3339, s.Time); err == nil {
		p.TimeUnix = new(t.Unix())
	}
	return p
}

func shownWord(text string) string { return read.Bounded(text, maxWord) }
