package reconcile

import (
	"slices"
	"strings"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// A Report is what a pass found out, decided and did. As JSON it is what the commands
// print that change a running container.
type Report struct {
	SchemaVersion policy.Version        `json:"schema_version"`
	Command       string                `json:"command"`
	DryRun        bool                  `json:"dry_run,omitempty"` // nothing was done: operations are what would be
	Policy        *policy.Status        `json:"policy,omitempty"`  // absent where no rule was asked
	Skip          []policy.Contribution `json:"skip"`
	Alarms        []policy.Alarm        `json:"alarms"`     // of the decisions and of the plan
	Operations    []Operation           `json:"operations"` // in the order in which they were done
	Pending       []string              `json:"pending"`    // profiles whose new run script takes effect at their next start
	Profiles      map[string]*Outcome   `json:"profiles"`   // those that somebody named
	Errors        []string              `json:"errors"`     // those that are about no profile

	engine.Situation `json:"-"`
	Decisions        policy.Decisions `json:"-"`
	Evaluator        engine.Evaluator `json:"-"` // that decided
	Plan             policy.Plan      `json:"-"`
	PlanErr          error            `json:"-"`
	Results          []policy.Result  `json:"-"`
	Slots            policy.Slots     `json:"-"` // before
	RulesFailed      bool             `json:"-"` // the first thing that went wrong is about the rules
}

// Failed reports whether something went wrong that did not end the pass.
func (r *Report) Failed() bool {
	for _, o := range r.Profiles {
		if len(o.Errors) > 0 {
			return true
		}
	}
	return len(r.Errors) > 0
}

// Changes reports whether a dry run found something to do.
func (r *Report) Changes() bool {
	for _, o := range r.Profiles {
		if o.Recorded {
			return true
		}
	}
	return len(r.Operations) > 0
}

// An Operation is one step and how it ended.
type Operation struct {
	policy.Operation
	Done  bool   `json:"done"` // false where there was nothing to do any more, or with an error
	Error string `json:"error,omitempty"`
}

// An Outcome is what became of a profile that somebody named.
type Outcome struct {
	Outcome  policy.Maybe `json:"outcome"` // a few words: started, already down, refused; null: nothing was done
	Slot     policy.Maybe `json:"slot"`    // up, or down for one with a down file
	Now      policy.Maybe `json:"now"`     // up, down, waiting, or not supervised
	PID      int          `json:"pid,omitempty"`
	Code     string       `json:"code,omitempty"`   // of the decision
	Reason   string       `json:"reason,omitempty"` // of the decision
	Notes    []string     `json:"notes,omitempty"`
	Errors   []string     `json:"errors,omitempty"`
	Recorded bool         `json:"-"` // something about it was written down
}

func newReport(o Options) Report {
	command, _, _ := strings.Cut(o.Command, " ")
	return Report{
		Command: command, DryRun: o.Extent != ToEnd,
		Skip: []policy.Contribution{}, Alarms: []policy.Alarm{}, Operations: []Operation{}, Pending: []string{},
		Profiles: map[string]*Outcome{}, Errors: []string{},
	}
}

func (r *Report) decided(d policy.Decisions) {
	r.Decisions, r.Policy = d, &d.Policy
	r.Skip = append([]policy.Contribution{}, d.Skip...)
	r.Alarms = append([]policy.Alarm{}, d.Alarms...)
}

func (r *Report) planned(p policy.Plan) {
	r.Plan = p
	r.Alarms = append(r.Alarms, p.Alarms...)
	r.Pending = append([]string{}, p.Pending...)
	for _, op := range p.Operations {
		if r.DryRun {
			r.Operations = append(r.Operations, Operation{Operation: op})
		}
	}
}

func (r *Report) add(result policy.Result) {
	r.Results = append(r.Results, result)
	o := Operation{Operation: result.Operation, Done: result.Done}
	if result.Err != nil {
		o.Error = result.Err.Error()
	}
	r.Operations = append(r.Operations, o)
}

// problem notes an error, of a profile where that is one of the report.
func (p *pass) problem(profile string, err error) {
	p.Log.Error("failed", "profile", profile, "err", err)
	if o, named := p.report.Profiles[profile]; named {
		o.Errors = append(o.Errors, err.Error())
		return
	}
	p.report.Errors = append(p.report.Errors, err.Error())
}

// rulesProblem notes that the operator's rules did not decide, or not all of them.
func (p *pass) rulesProblem(what, why string) {
	p.Log.Error(what, "err", why)
	p.report.RulesFailed = p.report.RulesFailed || !p.report.Failed()
	p.report.Errors = append(p.report.Errors, what+": "+why)
}

func (r *Report) note(profile, text string) {
	o := r.Profiles[profile]
	o.Notes = append(o.Notes, text)
}

// conclude sets the outcome of a profile, with the errors that it has in mind.
func (r *Report) conclude(profile, outcome string) {
	o := r.Profiles[profile]
	switch {
	case len(o.Errors) == 0 || outcome == refused:
	case slices.Contains([]string{"stopped", "started", "restarted", "slot removed", "paused"}, outcome):
		outcome += ", with an error"
	default:
		outcome = "failed"
	}
	o.Outcome = policy.Maybe(outcome)
}

const refused = "refused"
