package container

import (
	"encoding/json"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type pausesFact struct {
	read.Outcome
	policy.Pauses
}

// pauses are the gateways that root has paused. They count only when no other user could have
// written them.
func (c Config) pauses() pausesFact {
	data, out := c.state(policy.PausesFile)
	if out.Status != "" {
		return pausesFact{out, policy.Pauses{Profiles: map[string]policy.Pause{}}}
	}
	return c.parsePauses(data)
}

func (c Config) parsePauses(data []byte) pausesFact {
	f := pausesFact{Outcome: read.Recorded}
	if problem := policy.JSONExcess(data); problem != "" {
		f.Outcome = read.Invalid("%s", problem)
	} else if json.Unmarshal(data, &f.Pauses) != nil {
		f = pausesFact{Outcome: read.Invalid("not a JSON object of pauses")}
	}
	f.Pauses = f.At(c.Now())
	if f.Others == nil && len(f.Profiles) == 0 && f.Status == policy.StatusRecorded {
		f.Status = policy.StatusEmpty
	}
	return f
}
