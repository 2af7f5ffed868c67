package reconcile.rules.fatal_exit_test

import data.reconcile.rules.fatal_exit

ended := {
	"phase": "apply",
	"now": {"unix_ns": 1795000060000000000},
	"container": {"s6": {"slots": {"gateway-coder": {"up": false, "wanted_up": false, "exit_code": 78, "since_unix": 1795000000}}}},
	"profiles": {"coder": {
		"config": {"changed_unix": 1794000000},
		"prior_state": {"desired": "running", "updated_at_unix": 1794000000},
	}},
}

held := {member.reason | some member in fatal_exit.hold}

test_what_cannot_work_stays_down if {
	held == {"it ended with exit code 78 at 2026-11-18T11:06:40Z; start it, or change .env or config.yaml"} with input as ended
}

test_not_at_a_boot if held == set() with input as ended with input.phase as "boot"

test_another_exit_code if held == set() with input as ended with input.container.s6.slots["gateway-coder"].exit_code as 1

test_up_again if held == set() with input as ended with input.container.s6.slots["gateway-coder"].up as true

test_a_changed_file_is_a_new_try if held == set() with input as ended with input.profiles.coder.config.changed_unix as 1795000001

test_a_clock_that_was_ahead if held == set() with input as ended with input.now.unix_ns as 1790000000000000000

test_an_operator_who_starts_it if held == set() with input as ended with input.profiles.coder.prior_state.updated_at_unix as 1795000001
