package facts

import (
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type activeProfileFact struct {
	read.Outcome
	Name string `json:"name,omitempty" about:"first line of the file active_profile in the home"`
}

func (c Config) activeProfile() activeProfileFact {
	data, out := read.File(c.Root, "active_profile", 4096)
	f := activeProfileFact{out, read.FirstLine(data, 255)}
	switch {
	case out.Status != "":
	case f.Name == "":
		f.Status = policy.StatusEmpty
	default:
		f.Outcome = read.Recorded
	}
	return f
}
