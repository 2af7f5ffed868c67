package engine

import (
	"testing"
	"time"

	"hermes-reconcile/policy"
)

// at is a member of recheck.
func at(time, reason string) policy.Contribution {
	return policy.Contribution{Set: policy.SetRecheck, Rule: "r", At: time, Reason: reason}
}

// decisionsAt combines contributions to the profile coder at a time.
func decisionsAt(t *testing.T, now string, given ...policy.Contribution) (policy.Decisions, policy.Now) {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339Nano, now)
	if err != nil {
		t.Fatal(err)
	}
	in := situation(map[string]string{"coder": `{}`})
	in.Now = policy.NewNow(parsed)
	return Combine(in, policy.Evaluation{Contributions: given}, HoldOnRuleError), in.Now
}

// Rechecks have absolute times, the earliest first; those of the past and of unknown profiles
// are left out, and a warn-only rule counts. None changes a decision.
func TestRechecks(t *testing.T) {
	after := policy.Contribution{Set: policy.SetRecheck, Rule: "r", AfterSeconds: 90, Profile: "coder", Reason: "in 90 seconds"}
	tried, stranger := at("2026-11-22T06:00:30+01:00", "tried"), at("2026-11-22T07:00:00Z", "of nobody")
	tried.Enforced, stranger.Profile = new(bool), "nobody"
	d, _ := decisionsAt(t, "2026-11-22T05:00:00.25Z", at("2026-11-22T06:00:00Z", "at six"), after, tried, stranger,
		at("2026-11-22T05:00:00Z", "over"), at("2026-11-22T04:59:00Z", "over"))
	got := [][2]string{}
	for _, c := range d.Recheck {
		got = append(got, [2]string{c.At, c.Reason})
	}
	want := [][2]string{{"2026-11-22T06:00:30+01:00", "tried"}, {"2026-11-22T05:01:31Z", "in 90 seconds"}, {"2026-11-22T06:00:00Z", "at six"}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("rechecks %q, want %q", got, want)
	}
	if len(d.Alarms) != 1 || d.Alarms[0].Code != "unknown_profile" {
		t.Errorf("alarms %+v, want one about the unknown profile", d.Alarms)
	}
	if p := d.Profiles["coder"]; p.Action != policy.ActionDown || p.Code != policy.CodeNoStartRule {
		t.Errorf("a recheck decides: %+v", p)
	}
}

// The next look is at the earliest recheck, or at the end of a hold that counts, whether it
// decides or not.
func TestNextLook(t *testing.T) {
	hold := func(rule, until string) policy.Contribution {
		return policy.Contribution{Set: policy.SetHold, Rule: rule, Profile: "coder", Code: rule, Reason: "x", Until: until}
	}
	tried := hold("night", "2026-11-22T05:30:00Z")
	tried.Enforced = new(bool)
	waive := policy.Contribution{Set: policy.SetWaive, Rule: "r", Profile: "coder", Waives: "night", Reason: "x"}
	for _, test := range []struct {
		name  string
		given []policy.Contribution
		want  string
		why   string
	}{
		{"nothing", nil, "", ""},
		{"a hold without an end", []policy.Contribution{hold("night", "")}, "", ""},
		{"a recheck", []policy.Contribution{at("2026-11-22T06:00:00Z", "at six")}, "2026-11-22T06:00:00Z", "at six"},
		{"a hold that does not decide", []policy.Contribution{hold("a", ""), hold("night", "2026-11-22T06:30:00+01:00"), at("2026-11-22T06:00:00Z", "at six")},
			"2026-11-22T05:30:00Z", "a hold of coder ends (night)"},
		{"a hold that is over now", []policy.Contribution{hold("night", "2026-11-22T05:00:00Z"), at("2026-11-22T05:00:00Z", "now")}, "", ""},
		{"a hold that is only tried", []policy.Contribution{tried}, "", ""},
		{"a waived hold", []policy.Contribution{hold("night", "2026-11-22T05:30:00Z"), waive}, "", ""},
		{"of two holds the first to end", []policy.Contribution{hold("a", "2026-11-22T09:00:00Z"), hold("night", "2026-11-22T08:00:00Z")},
			"2026-11-22T08:00:00Z", "a hold of coder ends (night)"},
	} {
		d, now := decisionsAt(t, "2026-11-22T05:00:00Z", test.given...)
		when, why, ok := NextLook(d, now)
		got := ""
		if ok {
			got = when.UTC().Format(time.RFC3339)
		}
		if got != test.want || why != test.why {
			t.Errorf("%s: %q, %q; want %q, %q", test.name, got, why, test.want, test.why)
		}
	}
}

// A package that did not see its facts still says when it wants to be asked again.
func TestBlindRulesAreAskedAgain(t *testing.T) {
	e := withoutBlind(policy.Evaluation{Contributions: []policy.Contribution{at("2026-11-22T06:00:00Z", "x"), {Set: policy.SetStart, Rule: "r"}}},
		[]policy.RuleFailure{{Rule: "r", Blind: true}})
	if len(e.Contributions) != 1 || e.Contributions[0].Set != policy.SetRecheck {
		t.Errorf("%+v, want the recheck alone", e.Contributions)
	}
}
