package facts

import (
	"context"
	"slices"

	"hermes-reconcile/policy"
)

// How much of gateway_state.json is kept.
const (
	maxWord      = 256
	maxPlatforms = 64
	maxServed    = 1000
)

type priorStateFact struct {
	policy.PriorState
	ExitReason       *string                  `json:"exit_reason,omitempty"`
	RestartRequested *bool                    `json:"restart_requested,omitempty"`
	ActiveAgents     *int64                   `json:"active_agents,omitempty"`
	ServedProfiles   []string                 `json:"served_profiles,omitzero"`
	Platforms        map[string]platformState `json:"platforms,omitempty"`
	PID              *int64                   `json:"pid,omitempty"`
	StartTime        *int64                   `json:"start_time,omitempty"`
	UpdatedAtUnix    *int64                   `json:"updated_at_unix,omitempty"`
	MigratedFrom     *string                  `json:"migrated_from,omitempty"`
	RuntimeKind      *string                  `json:"runtime_kind,omitempty"`
	Unexpected       []string                 `json:"unexpected,omitempty"`
}

type platformState struct {
	State          *string `json:"state,omitempty"`
	ErrorCode      *string `json:"error_code,omitempty"`
	NeedsAttention *bool   `json:"needs_attention,omitempty"`
	RetryingSince  *int64  `json:"retrying_since_unix,omitempty"`
}

// priorState is what gateway and operator last wrote of what should run.
func priorState() ProfileSource {
	return ProfileSource{"prior_state", priorStateSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		return describePriorState(readObject(dir, policy.StateFile, maxState)), nil
	}}
}

func priorStateSchema() string {
	return fact(byAgent, "what the gateway and its operator last recorded, from gateway_state.json", properties{
		"desired":           text("desired_state: what the operator wants; absent when absent or null there, and an empty text counts"),
		"gateway":           text("gateway_state: what the gateway wrote of itself; absent when absent or null there"),
		"exit_reason":       text("exit_reason of the last gateway"),
		"restart_requested": boolean("restart_requested"),
		"active_agents":     integer("active_agents"),
		"served_profiles":   list("served_profiles: the profiles that a multiplexing gateway serves", text("profile")),
		"platforms": byName("platforms by name, at most 64", object("one platform", properties{
			"state":               text("state"),
			"error_code":          text("error_code"),
			"needs_attention":     boolean("needs_attention"),
			"retrying_since_unix": integer("retrying_since in seconds since 1970"),
		})),
		"pid":             integer("pid of the gateway, in the PID namespace of its time"),
		"start_time":      integer("start_time of that process in clock ticks, as in /proc"),
		"updated_at_unix": integer("updated_at in seconds since 1970, be it a number or ISO 8601 there"),
		"migrated_from":   text("migrated_from: what seeded the file"),
		"runtime_kind":    text("runtime_kind"),
		"unexpected":      list("fields that hold another type than they should and are left out", text("field")),
	})
}

// describePriorState keeps what is known of a state file. Only the two states
// decide whether it is valid: upstream starts nothing on a state that is not
// text, and does not look at the other fields.
func describePriorState(keys fields, out outcome) priorStateFact {
	f := priorStateFact{}
	f.Status, f.Error = out.Status, out.Error
	f.Desired = keys.text("desired_state", maxWord)
	f.Gateway = keys.text("gateway_state", maxWord)
	if len(keys.unexpected) > 0 {
		return priorStateFact{PriorState: policy.PriorState{Status: policy.StatusInvalid, Error: keys.unexpected[0] + " is no string"}}
	}
	f.ExitReason = keys.text("exit_reason", 512)
	f.RestartRequested = keys.boolean("restart_requested")
	f.ActiveAgents = keys.integer("active_agents")
	f.ServedProfiles = keys.texts("served_profiles", maxServed, 255)
	f.PID = keys.integer("pid")
	f.StartTime = keys.integer("start_time")
	f.UpdatedAtUnix = keys.moment("updated_at")
	f.MigratedFrom = keys.text("migrated_from", maxWord)
	f.RuntimeKind = keys.text("runtime_kind", maxWord)
	f.Platforms = describePlatforms(&keys)
	f.Unexpected = keys.unexpected
	return f
}

func describePlatforms(keys *fields) map[string]platformState {
	all := keys.object("platforms")
	if all == nil {
		return nil
	}
	platforms := map[string]platformState{}
	for _, name := range all.names(maxPlatforms) {
		p := all.object(name)
		if p == nil {
			continue
		}
		platforms[bounded(name, 128)] = platformState{
			State:          p.text("state", maxWord),
			ErrorCode:      p.text("error_code", maxWord),
			NeedsAttention: p.boolean("needs_attention"),
			RetryingSince:  p.moment("retrying_since"),
		}
		if len(p.unexpected)+len(all.unexpected) > 0 && !slices.Contains(keys.unexpected, "platforms") {
			keys.unexpected = append(keys.unexpected, "platforms")
		}
	}
	return platforms
}
