package engine

import (
	"maps"
	"slices"

	"hermes-reconcile/policy"
)

// FileOperations makes the sweeps and seeds of the decisions, in the order of the profile names:
// sweeps as the decision lists them, then the seed. A profile that is skipped, or a container
// that is, gets none. No file is read: a decision sweeps only what the facts offer, and seeds
// only a profile whose facts know of no state file.
func FileOperations(d policy.Decisions) (operations []policy.Operation) {
	if len(d.Skip) > 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(d.Profiles)) {
		decision := d.Profiles[name]
		if decision.Action == policy.ActionSkip {
			continue
		}
		for _, file := range decision.Sweep {
			operations = append(operations, policy.Operation{
				Op: policy.OpSweep, Profile: name, File: file,
				Identity: decision.Identities[file],
				Cause: cause(decision, func(c policy.Contribution) bool {
					return c.Set == policy.SetSweep && c.File == file
				}),
			})
		}
		if decision.Seed != nil {
			operations = append(operations, policy.Operation{
				Op: policy.OpSeed, Profile: name, File: policy.StateFile, Seed: decision.Seed,
				Cause: cause(decision, func(c policy.Contribution) bool {
					return c.Set == policy.SetSeed && c.State == decision.Seed.State && c.MigratedFrom == decision.Seed.MigratedFrom
				}),
			})
		}
	}
	return operations
}

// cause returns the reason of the first contribution that asked for a sweep or a seed.
func cause(d policy.Decision, asked func(policy.Contribution) bool) string {
	if i := slices.IndexFunc(d.Contributions, asked); i >= 0 {
		return d.Contributions[i].Reason
	}
	return d.Reason
}
