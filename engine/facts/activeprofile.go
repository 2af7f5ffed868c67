package facts

import (
	"context"

	"hermes-reconcile/policy"
)

type activeProfileFact struct {
	outcome
	Name string `json:"name,omitempty"`
}

// activeProfile is the profile that commands without -p use.
func activeProfile(c Config) Source {
	return Source{"active_profile", activeProfileSchema, func(context.Context) (any, error) {
		data, out := readFile(c.Root, "active_profile", 4096)
		if out.Status != "" {
			return activeProfileFact{outcome: out}, nil
		}
		name := firstLine(data, 255)
		if name == "" {
			return activeProfileFact{outcome: outcome{Status: policy.StatusEmpty}}, nil
		}
		return activeProfileFact{recorded, name}, nil
	}}
}

func activeProfileSchema() string {
	return fact(byAgent, "the sticky profile", properties{
		"name": text("first line of the file active_profile in the home"),
	})
}
