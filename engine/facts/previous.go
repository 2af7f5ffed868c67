package facts

import (
	"time"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

type previousFact struct {
	read.Outcome
	TimeUnix   *int64 `json:"time_unix,omitempty" about:"when, in seconds since 1970"`
	Phase      string `json:"phase,omitempty" about:"boot or apply"`
	Command    string `json:"command,omitempty" about:"the command that made the pass; absent at a boot"`
	BootID     string `json:"boot_id,omitempty" about:"the boot of the kernel then; input.container.host.boot_id is the present one"`
	Image      string `json:"image,omitempty" about:"version of the image then; input.container.image.version is the present one"`
	Revision   string `json:"policy_revision,omitempty" about:"revision of the rules then"`
	Fallback   bool   `json:"fallback" about:"the operator's rules could not be used then"`
	Action     string `json:"action,omitempty" about:"what was done: reconciled, skipped or failed with the container; started, registered or skipped with a profile"`
	Code       string `json:"code,omitempty" about:"why, as a stable word"`
	PriorState string `json:"prior_state,omitempty" about:"of a profile: the recorded state that the pass found"`
	PriorExit  string `json:"prior_exit,omitempty" about:"of a profile: how the gateway before the pass had ended; lifecycle.exit has how the one after it did"`
}

const aboutPrevious = "what the ledger has of the last boot or command, without the passes of the watch, from the last MiB of logs/" + ledger.Name + "; the agent can write this file, so the fact is no reason to grant anything"

// previous is what the last pass that decided about a profile did with it, or the last pass
// with the container for "".
func (c Config) previous(profile string) previousFact {
	last, err := c.lastLines()
	l, ok := last[profile]
	switch {
	case err != nil:
		return previousFact{Outcome: read.OutcomeOf(err)}
	case !ok:
		return previousFact{Outcome: read.Outcome{Status: policy.StatusMissing}}
	}
	f := previousFact{Outcome: read.Recorded, Fallback: l.Policy.Fallback}
	if t, err := time.Parse(time.RFC3339, l.Time); err == nil {
		f.TimeUnix = new(t.Unix())
	}
	for shown, text := range map[*string]string{
		&f.Phase: l.Phase, &f.Command: l.Command, &f.BootID: l.BootID, &f.Image: l.Image, &f.Revision: l.Policy.Revision,
		&f.Action: l.Action, &f.Code: l.Code, &f.PriorState: l.PriorState, &f.PriorExit: l.PriorExit,
	} {
		*shown = read.Bounded(text, maxWord)
	}
	return f
}
