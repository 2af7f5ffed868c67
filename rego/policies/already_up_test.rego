package reconcile.rules.already_up_test

import data.reconcile.rules.already_up

live := {
	"phase": "apply",
	"container": {"s6": {"slots": {"gateway-coder": {"wanted_up": true}, "gateway-writer": {"wanted_up": false}, "gateway-broken": {"status": "invalid"}}}},
	"profiles": {
		"coder": {"prior_state": {"status": "recorded", "gateway": "starting"}},
		"writer": {"prior_state": {"status": "recorded", "gateway": "starting"}},
		"broken": {"prior_state": {"status": "missing"}},
		"new": {"prior_state": {"status": "missing"}},
	},
}

started(situation) := {[member.profile, member.reason] | some member in already_up.start with input as situation}

with_state(state) := object.union(live, {"profiles": {"coder": {"prior_state": state}}})

test_what_is_wanted_up_stays_up if {
	started(live) == {["coder", "its slot is up, and its state (starting) records no intent"]}
}

test_a_state_that_cannot_be_read if {
	every status in ["missing", "unreadable", "invalid", "empty", "timed_out", "failed"] {
		situation := json.patch(live, [{"op": "replace", "path": "/profiles/coder/prior_state", "value": {"status": status}}])
		started(situation) == {["coder", sprintf("its slot is up, and its state (%s) records no intent", [status])]}
	}
}

test_an_intent_counts_alone if {
	every desired in ["stopped", "running", ""] {
		started(with_state({"status": "recorded", "desired": desired})) == set()
	}
}

test_a_boot_starts_nothing_for_it if {
	started(object.union(live, {"phase": "boot"})) == set()
}

test_without_slots if {
	started(object.union(object.remove(live, ["container"]), {"container": {}})) == set()
}
