package reconcile.rules.bootstrap_state_test

import data.reconcile.rules.bootstrap_state

blank := {
	"container": {"environment": {"vars": {"HERMES_GATEWAY_BOOTSTRAP_STATE": "running"}}},
	"profiles": {"default": {"prior_state": {"status": "missing"}}, "coder": {"prior_state": {"status": "missing"}}},
}

test_a_blank_volume_starts_its_root_profile if {
	start := bootstrap_state.start with input as blank
	{member.profile | some member in start} == {"default"}
	seed := bootstrap_state.seed with input as blank
	{[member.profile, member.state] | some member in seed} == {["default", "running"]}
}

test_a_recorded_stop_wins if {
	start := bootstrap_state.start with input as blank
		with input.profiles["default"].prior_state as {"status": "recorded", "desired": "stopped"}
	count(start) == 0
}

test_quotes_and_spaces_around_the_word if {
	every value in ["\"running\"", "'running'", " running "] {
		start := bootstrap_state.start with input as blank
			with input.container.environment.vars.HERMES_GATEWAY_BOOTSTRAP_STATE as value
		count(start) == 1
	}
}

test_only_the_word_running if {
	every value in ["stopped", "Running", "1", ""] {
		start := bootstrap_state.start with input as blank
			with input.container.environment.vars.HERMES_GATEWAY_BOOTSTRAP_STATE as value
		count(start) == 0
	}
	unset := bootstrap_state.start with input as blank with input.container.environment.vars as {}
	count(unset) == 0
}
