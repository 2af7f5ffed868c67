package facts

import (
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type lifecycleFact struct {
	read.Outcome
	Phase         *string  `json:"phase,omitempty" about:"phase: running or exited"`
	Exit          string   `json:"exit" about:"clean: phase is exited; running: phase is running, and a process holds gateway.lock; unclean: phase is running, and nothing recorded the end (SIGKILL, out of memory, loss of power); unknown: neither" words:"clean,running,unclean,unknown"`
	ExitCode      *int64   `json:"exit_code,omitempty" about:"exit_code"`
	ExitReason    *string  `json:"exit_reason,omitempty" about:"exit_reason"`
	StartedAtUnix *int64   `json:"started_at_unix,omitempty" about:"started_at in seconds since 1970"`
	ExitedAtUnix  *int64   `json:"exited_at_unix,omitempty" about:"exited_at in seconds since 1970"`
	PriorUnclean  *bool    `json:"prior_unclean,omitempty" about:"prior_unclean_exit: the gateway before that one ended uncleanly"`
	PriorOOM      *bool    `json:"prior_oom,omitempty" about:"prior_suspected_oom: that gateway probably ran out of memory"`
	Unexpected    []string `json:"unexpected,omitempty" about:"fields of the file that have an unexpected type and are left out" of:"field"`
}

func lifecycle(dir policy.Directory) lifecycleFact {
	f := describeLifecycle(read.JSON(dir, "state/gateway.lifecycle.json", read.MaxState))
	if f.Exit == "unclean" {
		if lock := probeGatewayLock(dir, "."); lock.Status == policy.StatusRecorded && lock.Held {
			f.Exit = "running"
		}
	}
	return f
}

func describeLifecycle(keys read.Object, out read.Outcome) lifecycleFact {
	f := lifecycleFact{
		Outcome: out, Exit: "unknown",
		Phase: keys.Text("phase", 64), ExitCode: keys.Integer("exit_code"), ExitReason: keys.Text("exit_reason", 512),
		StartedAtUnix: keys.Moment("started_at"), ExitedAtUnix: keys.Moment("exited_at"),
		PriorUnclean: keys.Bool("prior_unclean_exit"), PriorOOM: keys.Bool("prior_suspected_oom"),
	}
	if f.Phase != nil {
		switch *f.Phase {
		case "exited":
			f.Exit = "clean"
		case "running":
			f.Exit = "unclean"
		}
	}
	f.Unexpected = keys.Unexpected
	return f
}
