package facts

import (
	"context"

	"hermes-reconcile/policy"
)

type lifecycleFact struct {
	policy.Lifecycle
	Error         string   `json:"error,omitempty"`
	Phase         *string  `json:"phase,omitempty"`
	ExitCode      *int64   `json:"exit_code,omitempty"`
	ExitReason    *string  `json:"exit_reason,omitempty"`
	StartedAtUnix *int64   `json:"started_at_unix,omitempty"`
	ExitedAtUnix  *int64   `json:"exited_at_unix,omitempty"`
	PriorUnclean  *bool    `json:"prior_unclean,omitempty"`
	PriorOOM      *bool    `json:"prior_oom,omitempty"`
	Unexpected    []string `json:"unexpected,omitempty"`
}

// lifecycle says how the last gateway ended.
func lifecycle() ProfileSource {
	return ProfileSource{"lifecycle", lifecycleSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		return describeLifecycle(readObject(dir, "state/gateway.lifecycle.json", maxState)), nil
	}}
}

func lifecycleSchema() string {
	return fact(byAgent, "how the last gateway ended, from state/gateway.lifecycle.json", properties{
		"phase":           text("phase: running or exited"),
		"exit":            word("clean: phase is exited; unclean: phase is running, nobody wrote the end (SIGKILL, out of memory, the machine died); else unknown", "clean", "unclean", "unknown"),
		"exit_code":       integer("exit_code"),
		"exit_reason":     text("exit_reason"),
		"started_at_unix": integer("started_at in seconds since 1970"),
		"exited_at_unix":  integer("exited_at in seconds since 1970"),
		"prior_unclean":   boolean("prior_unclean: the gateway before that one ended uncleanly"),
		"prior_oom":       boolean("prior_oom or prior_suspected_oom: it probably ran out of memory"),
		"unexpected":      list("fields that hold another type than they should and are left out", text("field")),
	})
}

func describeLifecycle(keys fields, out outcome) lifecycleFact {
	f := lifecycleFact{Lifecycle: policy.Lifecycle{Status: out.Status, Exit: "unknown"}, Error: out.Error}
	f.Phase = keys.text("phase", 64)
	if f.Phase != nil {
		switch *f.Phase {
		case "exited":
			f.Exit = "clean"
		case "running":
			f.Exit = "unclean"
		}
	}
	f.ExitCode = keys.integer("exit_code")
	f.ExitReason = keys.text("exit_reason", 512)
	f.StartedAtUnix = keys.moment("started_at")
	f.ExitedAtUnix = keys.moment("exited_at")
	f.PriorUnclean = keys.boolean("prior_unclean")
	f.PriorOOM = keys.boolean("prior_oom")
	if f.PriorOOM == nil {
		f.PriorOOM = keys.boolean("prior_suspected_oom")
	}
	f.Unexpected = keys.unexpected
	return f
}
