package reconcile.rules.prior_intent_test

import data.reconcile.rules.prior_intent

states(prior) := {[member.profile, member.code] |
	some member in prior_intent.start with input as {"profiles": {"coder": {"prior_state": prior}}}
}

test_desired_running_starts if {
	states({"status": "recorded", "desired": "running", "gateway": "stopped"}) == {["coder", "prior_intent"]}
}

test_desired_stopped_beats_gateway_running if {
	states({"status": "recorded", "desired": "stopped", "gateway": "running"}) == set()
}

test_gateway_running_starts_without_intent if {
	states({"status": "recorded", "gateway": "running"}) == {["coder", "prior_state"]}
}

# An empty intent is not null: it decides, and means "not running".
test_empty_intent_is_an_intent if {
	states({"status": "recorded", "desired": "", "gateway": "running"}) == set()
}

test_case_and_spaces_count if {
	states({"status": "recorded", "desired": "Running"}) == set()
	states({"status": "recorded", "desired": "running "}) == set()
}

test_every_other_state_waits if {
	every state in ["stopped", "starting", "startup_failed", "draining", "something"] {
		states({"status": "recorded", "gateway": state}) == set()
		states({"status": "recorded", "desired": state}) == set()
	}
}

test_no_state_waits if {
	every status in ["missing", "unreadable", "invalid", "empty", "timed_out", "failed"] {
		states({"status": status}) == set()
	}
}

test_the_states_are_the_operators if {
	members := prior_intent.start with input as {"profiles": {"coder": {"prior_state": {"desired": "starting"}}}}
		with data.settings.start_states as ["starting"]
	count(members) == 1
}
