package reconcile.rules.override_test

import data.reconcile.rules.override

waived(entry) := {member |
	some member in override.waive with input as {
		"container": {"overrides": {"status": "recorded", "profiles": {"coder": [entry], "gone": [entry]}}},
		"profiles": {"coder": {}, "writer": {}},
	}
}

entry := {"rule": "reconcile.rules.quiet_hours", "code": "quiet_hours", "at_unix": 1795000000, "active": true}

test_an_active_override_waives if {
	waived(entry) == {{
		"rule": "reconcile.rules.quiet_hours",
		"profile": "coder",
		"code": "override",
		"reason": "an operator set its hold (quiet_hours) aside at 2026-11-18T11:06:40Z",
	}}
}

again(entry) := {member.at |
	some member in override.recheck with input as {
		"container": {"overrides": {"status": "recorded", "profiles": {"coder": [entry], "gone": [entry]}}},
		"profiles": {"coder": {}, "writer": {}},
	}
}

test_its_end_wants_a_look if {
	again(object.union(entry, {"until": "2026-11-23T07:00:00+01:00"})) == {"2026-11-23T07:00:00+01:00"}
	again(entry) == set()
	again(object.union(entry, {"until": "soon"})) == set()
	again(object.union(entry, {"until": "2026-11-23T07:00:00Z", "active": false})) == set()
}

test_one_that_has_ended_does_not if {
	waived(object.union(entry, {"active": false})) == set()
}

test_what_is_not_known_is_left_out if {
	{member.reason | some member in waived({"rule": "r", "at_unix": 0, "active": true})} == {"an operator set its hold aside"}
	count(waived(object.union(entry, {"at_unix": 92233720368547758}))) == 1
}

test_without_overrides if {
	every overrides in [{"status": "missing", "profiles": {}}, {"status": "unreadable", "profiles": {}}, {"status": "failed"}] {
		members := override.waive with input as {"container": {"overrides": overrides}, "profiles": {"coder": {}}}
		members == set()
	}
}
