package facts

import (
	"encoding/json"
	"slices"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// jobsFile has the scheduled jobs of a profile.
const jobsFile = "cron/jobs.json"

// Watched returns the files of a profile whose change may change a decision, by their names
// in its directory. Configured are the operator's names. What a gateway at work writes all
// the time, such as logs, locks and databases, is not among them.
func Watched(configured []string) []string {
	names := slices.DeleteFunc(slices.Clone(markerFiles), func(name string) bool { return name == "state.db" })
	return append(append(names, policy.StateFile, policy.RestartHoldFile), operatorNames(configured)...)
}

// WatchedInHome returns those that only the home has.
func WatchedInHome() []string {
	return []string{"ESTOP", ".drain_request.json", "gateway_migration.json", "fleet_restart_pending", "active_profile", policy.LeaseFile}
}

// Busy reports whether a gateway at work rewrites a watched file again and again. Then only a
// change of the Gist counts.
func Busy(name string) bool { return name == policy.StateFile || name == jobsFile }

// Gist returns what counts of the busy files of a profile: the state without its counters and
// times, and how many jobs there are.
func Gist(dir policy.Directory) string {
	state := priorState(dir)
	state.ActiveAgents, state.UpdatedAtUnix = nil, nil
	jobs, enabled, status := countJobs(read.File(dir, jobsFile, read.MaxConfig))
	text, _ := json.Marshal([]any{state, jobs, enabled, status}) // plain values marshal
	return string(text)
}
