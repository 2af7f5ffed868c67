package reconcile.rules.legacy_command_test

import data.reconcile.rules.legacy_command

legacy := {
	"container": {"command": {"role": "gateway run", "no_supervise": false}, "environment": {"flags": {}}},
	"profiles": {
		"default": {"prior_state": {"status": "missing"}},
		"coder": {"prior_state": {"status": "missing"}},
	},
}

test_root_starts_and_is_seeded if {
	start := legacy_command.start with input as legacy
	{member.profile | some member in start} == {"default"}
	seed := legacy_command.seed with input as legacy
	seeded := {[member.profile, member.state, member.migrated_from] | some member in seed}
	seeded == {["default", "running", "legacy-container-cmd"]}
}

test_the_profile_of_the_command_starts if {
	start := legacy_command.start with input as legacy with input.container.command.profile as "coder"
	{member.profile | some member in start} == {"coder"}
	none := legacy_command.start with input as legacy with input.container.command.profile as "nobody"
	count(none) == 0
}

test_nothing_with_a_state if {
	every status in ["recorded", "invalid", "unreadable", "empty"] {
		start := legacy_command.start with input as legacy
			with input.profiles["default"].prior_state.status as status
		count(start) == 0
		seed := legacy_command.seed with input as legacy
			with input.profiles["default"].prior_state.status as status
		count(seed) == 0
	}
}

test_nothing_for_another_command if {
	start := legacy_command.start with input as legacy with input.container.command.role as "sleep"
	count(start) == 0
}

test_no_supervise_by_flag_and_by_environment if {
	flag := legacy_command.start with input as legacy with input.container.command.no_supervise as true
	count(flag) == 0
	environment := legacy_command.start with input as legacy
		with input.container.environment.flags as {"HERMES_GATEWAY_NO_SUPERVISE": true}
	count(environment) == 0
}

test_the_profile_of_a_command_without_supervision_is_held if {
	held := {member.profile |
		some member in legacy_command.hold with input as legacy with input.container.command.no_supervise as true
	}
	held == {"default"}
	by_environment := {member.profile |
		some member in legacy_command.hold with input as legacy
			with input.container.command.profile as "coder"
			with input.container.environment.flags as {"HERMES_GATEWAY_NO_SUPERVISE": true}
	}
	by_environment == {"coder"}
}

test_nothing_is_held_otherwise if {
	supervised := legacy_command.hold with input as legacy
	count(supervised) == 0
	other_command := legacy_command.hold with input as legacy
		with input.container.command as {"role": "sleep", "no_supervise": false}
		with input.container.environment.flags as {"HERMES_GATEWAY_NO_SUPERVISE": true}
	count(other_command) == 0
	nobody := legacy_command.hold with input as legacy
		with input.container.command as {"role": "gateway run", "no_supervise": true, "profile": "nobody"}
	count(nobody) == 0
}
