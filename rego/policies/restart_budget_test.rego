package reconcile.rules.restart_budget_test

import data.reconcile.rules.restart_budget

record := {"status": "recorded", "since_unix": 1795000000, "deaths": 5, "window_seconds": 600, "exit_code": 1, "changed_files": [], "ended": ""}

held(hold) := {member |
	some member in restart_budget.hold with input as {"profiles": {
		"coder": {"restart_hold": hold},
		"writer": {"restart_hold": {"status": "missing", "ended": ""}},
	}}
}

reasons(hold) := {member.reason | some member in held(hold)}

test_a_record_holds if {
	held(record) == {{
		"profile": "coder",
		"code": "budget_exhausted",
		"reason": "5 deaths within 600 s, the last with exit code 1; the hold ends when .env or config.yaml changes, or by release",
	}}
}

test_until_when if {
	held(object.union(record, {"until_unix": 1795003600})) == {{
		"profile": "coder",
		"code": "budget_exhausted",
		"until": "2026-11-18T12:06:40Z",
		"reason": "5 deaths within 600 s, the last with exit code 1; the hold ends when .env or config.yaml changes, at 2026-11-18T12:06:40Z, or by release",
	}}
}

test_how_it_died if {
	every how, last in {
		"with exit code 0": {"exit_code": 0},
		"by signal 9": {"exit_code": 256, "signal": 9},
		"by a signal": {"exit_code": 256},
		"in an unknown way": {},
	} {
		some reason in reasons(object.union(object.remove(record, ["exit_code"]), last))
		contains(reason, sprintf("the last %s;", [how]))
	}
}

test_what_has_ended_does_not_hold if {
	every change in [{"ended": "time"}, {"ended": "changed"}, {"status": "invalid"}, {"status": "unreadable"}, {"status": "missing"}] {
		held(object.union(record, change)) == set()
	}
}

# The agent can write the record, so no content of it may break the rule.
test_strange_records_hold if {
	every change in [{"until_unix": 253402300799}, {"deaths": 0}, {"window_seconds": -1e300}, {"signal": 1e15}] {
		count(held(object.union(record, change))) == 1
	}
	count(held(object.remove(record, ["window_seconds", "exit_code"]))) == 1
}
