package facts

import (
	"slices"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// How much of gateway_state.json is kept.
const (
	maxWord      = 256
	maxPlatforms = 64
	maxServed    = 1000
)

type priorStateFact struct {
	read.Outcome
	Desired          *string                  `json:"desired,omitempty" about:"desired_state: what the operator wants; absent if the file has none or null; may be empty"`
	Gateway          *string                  `json:"gateway,omitempty" about:"gateway_state: the state of the gateway itself; absent if the file has none or null"`
	ExitReason       *string                  `json:"exit_reason,omitempty" about:"exit_reason of the last gateway"`
	RestartRequested *bool                    `json:"restart_requested,omitempty" about:"restart_requested"`
	ActiveAgents     *int64                   `json:"active_agents,omitempty" about:"active_agents"`
	ServedProfiles   []string                 `json:"served_profiles,omitzero" about:"served_profiles: the profiles that a multiplexing gateway serves" of:"profile"`
	Platforms        map[string]platformState `json:"platforms,omitempty" about:"platforms by name, at most 64" of:"one platform"`
	PID              *int64                   `json:"pid,omitempty" about:"pid of the gateway, in its PID namespace of that time"`
	StartTime        *int64                   `json:"start_time,omitempty" about:"start_time of that process in clock ticks, as in /proc"`
	UpdatedAtUnix    *int64                   `json:"updated_at_unix,omitempty" about:"updated_at in seconds since 1970; the file has a number or ISO 8601"`
	MigratedFrom     *string                  `json:"migrated_from,omitempty" about:"migrated_from: what seeded the file"`
	RuntimeKind      *string                  `json:"runtime_kind,omitempty" about:"runtime_kind"`
	Unexpected       []string                 `json:"unexpected,omitempty" about:"fields of the file that have an unexpected type and are left out" of:"field"`
}

type platformState struct {
	State          *string `json:"state,omitempty" about:"state"`
	ErrorCode      *string `json:"error_code,omitempty" about:"error_code"`
	NeedsAttention *bool   `json:"needs_attention,omitempty" about:"needs_attention"`
	RetryingSince  *int64  `json:"retrying_since_unix,omitempty" about:"retrying_since in seconds since 1970"`
}

func priorState(dir policy.Directory) priorStateFact {
	return describePriorState(read.JSON(dir, policy.StateFile, read.MaxState))
}

// describePriorState describes a state file. Only the two states decide whether it is valid:
// upstream starts nothing when a state is not a string, and ignores the other fields.
func describePriorState(keys read.Object, out read.Outcome) priorStateFact {
	f := priorStateFact{Outcome: out, Desired: keys.Text("desired_state", maxWord), Gateway: keys.Text("gateway_state", maxWord)}
	if len(keys.Unexpected) > 0 {
		return priorStateFact{Outcome: read.Invalid("%s is not a string", keys.Unexpected[0])}
	}
	f.ExitReason = keys.Text("exit_reason", 512)
	f.RestartRequested = keys.Bool("restart_requested")
	f.ActiveAgents = keys.Integer("active_agents")
	f.ServedProfiles = keys.Texts("served_profiles", maxServed, 255)
	f.PID = keys.Integer("pid")
	f.StartTime = keys.Integer("start_time")
	f.UpdatedAtUnix = keys.Moment("updated_at")
	f.MigratedFrom = keys.Text("migrated_from", maxWord)
	f.RuntimeKind = keys.Text("runtime_kind", maxWord)
	f.Platforms = describePlatforms(&keys)
	f.Unexpected = keys.Unexpected
	return f
}

func describePlatforms(keys *read.Object) map[string]platformState {
	all := keys.Object("platforms")
	if all == nil {
		return nil
	}
	platforms := map[string]platformState{}
	for _, name := range all.Names(maxPlatforms) {
		p := all.Object(name)
		if p == nil {
			continue
		}
		platforms[read.Bounded(name, 128)] = platformState{
			State:          p.Text("state", maxWord),
			ErrorCode:      p.Text("error_code", maxWord),
			NeedsAttention: p.Bool("needs_attention"),
			RetryingSince:  p.Moment("retrying_since"),
		}
		if len(p.Unexpected)+len(all.Unexpected) > 0 && !slices.Contains(keys.Unexpected, "platforms") {
			keys.Unexpected = append(keys.Unexpected, "platforms")
		}
	}
	return platforms
}
