package service

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// What a revision on trial does to gateways that ran is its harm, unless the revision before
// would do it too.
func TestHarm(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	start := policy.Decision{Action: policy.ActionStart}
	held := policy.Decision{Action: policy.ActionDown, Code: "fleet", Reason: "because"}
	decides := func(d policy.Decision) policy.Decisions {
		return policy.Decisions{Profiles: map[string]policy.Decision{"coder": d}}
	}
	breaks := func(reason string) policy.Decisions {
		d := decides(start)
		d.Alarms = []policy.Alarm{{Code: policy.CodeRuleError, Reason: reason}}
		return d
	}
	fallsBack := decides(start)
	fallsBack.Policy = policy.Status{Fallback: true, Errors: []string{"it cannot be read"}}
	up := policy.Slot{Profile: "coder", Up: true, WantedUp: true, SinceUnix: 1}
	down := func(since int64) policy.Slot { return policy.Slot{Profile: "coder", SinceUnix: since, Signal: 9} }
	waiting, loops := down(1), up
	waiting.WaitingUntilUnix, loops.RecentDeaths = 2000, policy.LoopDeaths
	for _, test := range []struct {
		why         string
		now, before policy.Decisions
		slot        policy.Slot
		err         error
		want        string
	}{
		{"nothing", decides(start), decides(start), up, nil, ""},
		{"a hold", decides(held), decides(start), up, nil, "coder was up, and would not be any more: fleet: because"},
		{"a hold that has stopped it", decides(held), decides(start), down(999), nil, "coder was up, and would not be any more"},
		{"a hold of both", decides(held), decides(held), up, nil, ""},
		{"nobody knows before", decides(held), decides(start), up, errors.New("damaged"), ""},
		{"not decided", decides(policy.Decision{Action: policy.ActionDown, Undecided: true}), decides(start), up, nil, ""},
		{"the profile is gone", policy.Decisions{}, decides(start), up, nil, ""},
		{"a gateway that ended", decides(start), decides(start), down(1), nil, "coder was up, and its gateway does not stay up: signal 9"},
		{"a gateway that starts anew", decides(start), decides(start), down(999), nil, ""},
		{"a gateway with a delay", decides(start), decides(start), waiting, nil, ""},
		{"a crash loop", decides(start), decides(start), loops, nil, "does not stay up"},
		{"a broken rule", breaks("fleet.rego:3:1: conflict"), decides(start), up, nil, "a rule breaks: fleet.rego:3:1: conflict"},
		{"a rule that broke before", breaks("conflict"), breaks("conflict"), up, nil, ""},
		{"other rules decide", fallsBack, decides(start), up, nil, "a rule breaks: it cannot be read"},
	} {
		r := reconcile.Report{Decisions: test.now, Slots: policy.Slots{Slots: map[string]policy.Slot{"gateway-coder": test.slot}}, Situation: engine.Situation{}}
		got := harm(r, []string{"coder"}, now, func() (policy.Decisions, error) { return test.before, test.err })
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.why, got, test.want)
		}
	}
}
