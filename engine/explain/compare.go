package explain

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// A Comparison is which profiles two policies decide differently, over the same facts. The
// present policy is what a boot would use; the candidate has other directories of rules.
type Comparison struct {
	SchemaVersion policy.Version        `json:"schema_version"`
	Present       policy.Status         `json:"present"`
	Candidate     policy.Status         `json:"candidate"`
	Same          int                   `json:"same"` // profiles that are decided alike
	Profiles      map[string]Difference `json:"profiles"`
	Alarms        []policy.Alarm        `json:"alarms"` // those of the candidate that are new
}

// A Difference is one profile that is decided differently.
type Difference struct {
	Present   Verdict  `json:"present"`
	Candidate Verdict  `json:"candidate"`
	Changed   []string `json:"changed"` // keys of the decision
	// Rules are the contributions that only the candidate has, Gone those that only
	// the present policy has.
	Rules []policy.Contribution `json:"rules"`
	Gone  []policy.Contribution `json:"gone"`
}

// A Verdict is a decision and the rule that made it.
type Verdict struct {
	Action   policy.Action `json:"action"`
	Code     string        `json:"code"`
	Reason   string        `json:"reason"`
	Rule     string        `json:"rule,omitempty"` // that decided; none where no rule did
	Location string        `json:"location,omitempty"`
}

// Compare compares two decisions over the same facts, about the named profiles or about
// all. Its error is an engine.UnknownProfile.
func Compare(present, candidate policy.Decisions, names []string) (Comparison, error) {
	c := Comparison{
		Present: present.Policy, Candidate: candidate.Policy,
		Profiles: map[string]Difference{}, Alarms: []policy.Alarm{},
	}
	asked, err := engine.Only(present.Profiles, names)
	if err != nil {
		return c, err
	}
	for name, p := range asked {
		q := candidate.Profiles[name]
		changed := changedKeys(p, q)
		if len(changed) == 0 {
			c.Same++
			continue
		}
		c.Profiles[name] = Difference{
			Present: verdictOf(p, present.Skip), Candidate: verdictOf(q, candidate.Skip), Changed: changed,
			Rules: missingIn(q.Contributions, p.Contributions), Gone: missingIn(p.Contributions, q.Contributions),
		}
	}
	for _, a := range candidate.Alarms {
		if !slices.Contains(present.Alarms, a) {
			c.Alarms = append(c.Alarms, a)
		}
	}
	return c, nil
}

// changedKeys names the keys of two decisions that differ. A reason in other words is no
// difference.
func changedKeys(p, q policy.Decision) []string {
	var keys []string
	differ := func(key string, same bool) {
		if !same {
			keys = append(keys, key)
		}
	}
	differ("action", p.Action == q.Action)
	differ("code", p.Code == q.Code)
	differ("sweep", slices.Equal(p.Sweep, q.Sweep))
	differ("delay_seconds", p.DelaySeconds == q.DelaySeconds)
	differ("env", maps.Equal(p.Env, q.Env))
	differ("restart", reflect.DeepEqual(p.Restart, q.Restart))
	differ("seed", reflect.DeepEqual(p.Seed, q.Seed))
	return keys
}

func verdictOf(d policy.Decision, skip []policy.Contribution) Verdict {
	v := Verdict{Action: d.Action, Code: d.Code, Reason: d.Reason}
	if c, ok := decidedBy(d, skip); ok {
		v.Rule, v.Location = c.Rule, c.Location
	}
	return v
}

// decidingSet is the set whose contributions ask for an action.
var decidingSet = map[policy.Action]policy.Set{
	policy.ActionStart: policy.SetStart, policy.ActionDown: policy.SetHold, policy.ActionSkip: policy.SetSkip,
}

// decidedBy returns the contribution that gave a decision its action and reason. It is not
// ok when no rule did, as with code no_start_rule.
func decidedBy(d policy.Decision, skip []policy.Contribution) (policy.Contribution, bool) {
	for _, c := range slices.Concat(skip, d.Contributions) {
		if c.Set == decidingSet[d.Action] && c.Counts() && c.Reason == d.Reason && (c.Code == d.Code || c.Code == "") {
			return c, true
		}
	}
	return policy.Contribution{}, false
}

func missingIn(these, those []policy.Contribution) []policy.Contribution {
	missing := []policy.Contribution{}
	for _, c := range these {
		if !slices.ContainsFunc(those, func(o policy.Contribution) bool { return c.Rule == o.Rule && c.Compare(o) == 0 }) {
			missing = append(missing, c)
		}
	}
	return missing
}

// Because names the rule that makes the difference, and what else changes besides the
// action.
func (d Difference) Because() string {
	var parts []string
	for _, key := range d.Changed {
		if key != "action" && key != "code" {
			parts = append(parts, key+" differs")
		}
	}
	if d.Present.Action == d.Candidate.Action && d.Present.Code == d.Candidate.Code {
		for _, c := range d.Rules {
			parts = append(parts, fmt.Sprintf("%s (%s, %s)", c.Reason, c.Rule, c.Location))
		}
		return strings.Join(parts, "; ")
	}
	why := d.Candidate.Reason
	if d.Candidate.Rule != "" {
		why = fmt.Sprintf("%s (%s, %s)", why, d.Candidate.Rule, d.Candidate.Location)
	}
	present := func(c policy.Contribution) bool { return c.Rule == d.Present.Rule && c.Reason == d.Present.Reason }
	if slices.ContainsFunc(d.Gone, present) {
		why = fmt.Sprintf("%s; no longer: %s (%s, %s)", why, d.Present.Reason, d.Present.Rule, d.Present.Location)
	}
	return strings.Join(append([]string{why}, parts...), "; ")
}
