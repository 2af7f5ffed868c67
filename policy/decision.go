package policy

import (
	_ "embed" // for the schema
	"encoding/json"
)

// An Action is what is decided for a profile.
type Action string

const (
	ActionStart Action = "start" // a slot without a down file
	ActionDown  Action = "down"  // a slot with a down file
	ActionSkip  Action = "skip"  // no slot, no sweep
)

// The codes that the combination itself gives; all others come from rules.
const (
	CodeNoStartRule = "no_start_rule" // no rule holds the profile, and no rule starts it
	CodeRuleError   = "rule_error"    // a rule package failed or did not see its facts, so its holds are unknown
	CodeSkipped     = "skipped"       // a skip without a code
)

// The codes of the alarms that the program itself raises about rules.
const (
	CodeNotEnforced    = "not_enforced"       // what a warn-only package would do to the container, or that it failed
	CodePolicyFallback = "policy_fallback"    // other rules than the operator's decided
	CodePolicyGone     = "policy_gone"        // the operator's rules are missing, and the last good copy decides
	CodePolicyRefused  = "policy_refused"     // the operator's changed rules cannot be used, and those before decide
	CodeRolledBack     = "policy_rolled_back" // a new revision of a bundle did harm, and the one before decides
	CodeOutOfRange     = "out_of_range"       // a number of a member was cut to its range
	CodeSettings       = "settings_error"     // a setting cannot be used, so its default counts
	CodeExternal       = "external"           // a plug-in failed, so a package did not see its facts
)

// CodeUntrusted is the code of the alarm about what is not used, or is not as it should be,
// because the user of the agents or another user could have written it.
const CodeUntrusted = "untrusted"

// A Decision is the combination of all contributions to one profile.
type Decision struct {
	Action Action `json:"action"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
	// Undecided means that some rules failed, or that the facts could not be read: an
	// existing slot stays as it is, and a gateway that runs goes on.
	Undecided  bool  `json:"undecided,omitempty"`
	PriorState Maybe `json:"prior_state"` // as upstream's boot log has it; "None" without one
	PriorExit  Maybe `json:"prior_exit"`  // "clean", "unclean" or "unknown"
	// Contributions are all that rules contributed, also those that did not win, sorted.
	// Those to recheck are in Decisions.Recheck.
	Contributions List[Contribution] `json:"contributions"`
	// Sweep names the runtime files to remove, sorted. Each was offered by a
	// fact.
	Sweep        List[string]      `json:"sweep"`
	DelaySeconds float64           `json:"delay_seconds"`
	Env          map[string]string `json:"env,omitempty"`
	Restart      *Restart          `json:"restart,omitempty"`
	Seed         *Seed             `json:"seed,omitempty"`

	// Held means that a hold keeps the profile down which only root can set aside.
	Held bool `json:"-"`
	// Identities holds what the facts saw of each file in Sweep, so that no
	// other file of that name is removed.
	Identities map[string]string `json:"-"`
}

// LoggedState is the prior state that the boot log names. As upstream, which seeds a state
// before it looks at it, the log names the seeded state.
func (d Decision) LoggedState() string {
	if d.Seed != nil {
		return d.Seed.State
	}
	return string(d.PriorState)
}

// A Seed is an initial state file.
type Seed struct {
	State        string `json:"state"` // "running" or "stopped"
	MigratedFrom string `json:"migrated_from,omitempty"`
}

// A Verdict is what later rules see of a decision, as input.decisions[name].
type Verdict struct {
	Action Action `json:"action"`
	Code   string `json:"code"`
}

// An Alarm is something that needs an operator's attention. The program does nothing about it.
type Alarm struct {
	Profile string `json:"profile,omitempty"`
	Code    string `json:"code,omitempty"`
	Reason  string `json:"reason"`
	Rule    string `json:"rule,omitempty"`
}

// Status identifies the policy that decided.
type Status struct {
	// Source is "built-in", then the operator's directories in order, or the last
	// good copy of them.
	Source string `json:"source"`
	// Revision identifies the rules and settings: equal text, equal revision.
	Revision string `json:"revision"`
	// Fallback means that the operator's rules could not be used.
	Fallback bool         `json:"fallback"`
	Errors   List[string] `json:"errors"`
	// After are the packages of StageAfter, in the order in which they run.
	After []string `json:"after,omitempty"`
	// Untrusted are the errors about rules that the agents could have written.
	Untrusted []string `json:"untrusted,omitempty"`
	// Gone are the operator's directories that have no rules any more.
	Gone []string `json:"gone,omitempty"`
	// External names the plug-ins whose facts a package reads, by the package. It has the
	// enforced packages that start, hold, skip or waive. AnyPlugin stands for a name that
	// only the evaluation knows.
	External map[string][]string `json:"external,omitempty"`
	// Bundles are the layers that come as one file.
	Bundles []Bundle `json:"bundles,omitempty"`
}

const AnyPlugin = "*"

// A Stage is when a rule package runs. The name of a package is a stage too, which is that
// package alone.
type Stage string

// The stages, named as the Rego packages that belong to them.
const (
	StageRules Stage = "rules" // reconcile.rules.<name>: before any decision
	StageAfter Stage = "after" // reconcile.after.<name>: sees input.decisions
)

// A RuleFailure is a rule package that failed while it ran, or a member of a set that could
// not be used. The other contributions of the package are lost too.
type RuleFailure struct {
	Rule     string `json:"rule"`
	Location string `json:"location,omitempty"`
	Error    string `json:"error"`
	// NotEnforced means that the package is warn-only (enforce: warn), so that no
	// decision depends on it.
	NotEnforced bool `json:"not_enforced,omitempty"`
	// Blind means that the package ran, and that a plug-in gave no facts which it reads.
	Blind bool `json:"blind,omitempty"`
	// Setting means that no package failed: the default of a setting counts in place of a
	// value that cannot be used.
	Setting bool `json:"setting,omitempty"`
}

// An Evaluation is what all packages of one stage contributed.
type Evaluation struct {
	Contributions []Contribution
	Failures      []RuleFailure
	Printed       []string `json:",omitempty"` // by print(), if the rules were loaded so, as file:row: text
}

// Decisions is the decision document: `eval --output json` prints it.
type Decisions struct {
	SchemaVersion int                 `json:"schema_version"`
	Phase         string              `json:"phase"`
	Policy        Status              `json:"policy"`
	Skip          List[Contribution]  `json:"skip"` // why this container supervises nothing
	Alarms        List[Alarm]         `json:"alarms"`
	Profiles      map[string]Decision `json:"profiles"`
	// Recheck is when rules want to be asked again, each with its time At, the earliest
	// first. A warn-only rule counts.
	Recheck []Contribution `json:"recheck,omitempty"`
	Plan    []Operation    `json:"plan,omitempty"`
}

// A List is [] in JSON if it is empty, so that a reader needs no case for null.
type List[T any] []T

func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// InputSchema is the JSON Schema of the input document. A test of the commands makes it from
// the declarations of the fact sources.
//
//go:embed input.schema.json
var InputSchema []byte

// DecisionSchema is the JSON Schema of the decision document.
//
//go:embed decision.schema.json
var DecisionSchema string
