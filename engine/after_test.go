package engine

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"hermes-reconcile/policy"
)

// owners is an evaluator with packages that hold every profile but the first that would start
// and claims a thing, and one that notes who would start by then.
type owners struct {
	claims map[string][]string // by package
	order  []string
	saw    *string
}

func (o owners) Status() policy.Status { return policy.Status{After: o.order} }

func (o owners) Evaluate(_ context.Context, stage policy.Stage, in policy.Input) (e policy.Evaluation) {
	add := func(set policy.Set, rule, profile string) {
		e.Contributions = append(e.Contributions, policy.Contribution{Set: set, Rule: rule, Profile: profile, Reason: "x"})
	}
	if stage == policy.StageRules {
		for name := range in.Profiles {
			add(policy.SetStart, "reconcile.rules.x", name)
		}
		return e
	}
	var up []string
	for _, name := range slices.Sorted(maps.Keys(in.Decisions)) {
		if in.Decisions[name].Action == policy.ActionStart {
			up = append(up, name)
		}
	}
	if stage == "last" {
		*o.saw = strings.Join(up, " ")
	}
	claimants := slices.DeleteFunc(slices.Clone(o.claims[string(stage)]), func(name string) bool { return !slices.Contains(up, name) })
	for _, name := range claimants[min(len(claimants), 1):] {
		add(policy.SetHold, string(stage), name)
	}
	return e
}

// Each package of reconcile.after sees what those before it decided, so that two of them never
// hold the last two claimants against each other.
func TestAfterPackagesSeeEachOther(t *testing.T) {
	in := situation(map[string]string{"a": "{}", "b": "{}", "c": "{}"})
	var saw string
	o := owners{claims: map[string][]string{"ports": {"b", "a"}, "tokens": {"a", "b"}}, order: []string{"ports", "tokens", "last"}, saw: &saw}
	d := Decide(t.Context(), o, in, HoldOnRuleError)
	if saw != "b c" || d.Profiles["a"].Action != policy.ActionDown || d.Profiles["b"].Action != policy.ActionStart {
		t.Errorf("the last package saw %q, and the decisions are %v; want b and c up", saw, Verdicts(d))
	}
}

// Nobody is left when all that claim a thing are held, one of them for the sake of another.
func TestNobodyLeft(t *testing.T) {
	const token = `{"fingerprint": "0123", "scope": "telegram", "exclusive": true}`
	claim := `{"tokens": {"tokens": [` + token + `, {"fingerprint": "4567", "scope": "openai_api"}]}, "ports": {"ports": [{"port": 8642, "enabled": true}, {"port": 8644}]}}`
	in := situation(map[string]string{"a": claim, "b": claim, "c": "{}"})
	hold := func(rule, profile string) policy.Contribution {
		return policy.Contribution{Set: policy.SetHold, Rule: rule, Profile: profile, Reason: "x"}
	}
	for _, test := range []struct {
		why   string
		given []policy.Contribution
		want  int
	}{
		{"the owner is up", []policy.Contribution{hold("after", "b")}, 0},
		{"the owner is held by something else", []policy.Contribution{hold("after", "b"), hold("rule", "a")}, 2},
		{"each for the other", []policy.Contribution{hold("after", "b"), hold("after", "a")}, 2},
		{"nobody for the sake of another", []policy.Contribution{hold("rule", "b"), hold("rule", "a")}, 0},
		{"the hold is waived", []policy.Contribution{hold("after", "b"), hold("rule", "a"), {Set: policy.SetWaive, Rule: "w", Profile: "b", Waives: "after", Reason: "x"}}, 0},
	} {
		d := Combine(in, policy.Evaluation{Contributions: test.given}, HoldOnRuleError)
		got := nobodyLeft(in, d, []string{"after"})
		if len(got) != test.want || test.want > 0 && got[1].Reason != "nobody uses token telegram 0123: all that claim it are held (a, b)" {
			t.Errorf("%s: %+v, want %d alarms", test.why, got, test.want)
		}
	}
}

// A setting that cannot be used is an alarm, and no rule has failed.
func TestAWrongSettingHoldsNobody(t *testing.T) {
	in := situation(map[string]string{"a": "{}"})
	start := policy.Contribution{Set: policy.SetStart, Rule: "r", Profile: "a", Reason: "x"}
	d := Combine(in, policy.Evaluation{Contributions: []policy.Contribution{start}, Failures: []policy.RuleFailure{{Rule: "settings", Location: "f.yaml:3:3", Error: "unknown", Setting: true}}}, HoldOnRuleError)
	if len(d.Alarms) != 1 || d.Alarms[0].Code != policy.CodeSettings || d.Alarms[0].Reason != "this setting is ignored: f.yaml:3:3: unknown" || d.Profiles["a"].Action != policy.ActionStart {
		t.Errorf("%+v, want an alarm and a start", d)
	}
}
