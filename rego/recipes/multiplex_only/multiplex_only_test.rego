package reconcile.rules.multiplex_only_test

import data.reconcile.rules.multiplex_only

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"multiplex_only": false})

profile(state, config) := {
	"name": {"valid": true},
	"markers": {"status": "recorded", "files": {"SOUL.md": {"kind": "file"}}},
	"prior_state": {"status": "recorded", "desired": state},
	"config": config,
}

home := {
	"container": {"multiplex": {"on": true}},
	"profiles": {
		"default": profile("stopped", {"status": "missing"}),
		"coder": profile("running", {"status": "recorded"}),
		"alone": profile("running", {"status": "recorded", "standalone": true}),
		"idle": profile("stopped", {"status": "recorded", "standalone": false}),
	},
}

held := {member.profile | some member in multiplex_only.hold}

started := {[member.profile, member.reason] | some member in multiplex_only.start}

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as home
	started == set() with data.settings as shipped with input as home
	multiplex_only.waive == set() with data.settings as shipped with input as home
	multiplex_only.alarm == set() with data.settings as shipped with input as home
}

test_named_profiles_are_down_unless_standalone if {
	held == {"coder", "idle"} with data.settings as shipped with input as home with data.settings.multiplex_only as true
	waived := multiplex_only.waive with data.settings as shipped with input as home with data.settings.multiplex_only as true
	{[member.profile, member.rule] | some member in waived} == {["alone", "reconcile.rules.multiplex"]}
}

test_their_wish_is_folded_into_the_root_profile if {
	started == {["default", "it serves coder, which should run"]} with data.settings as shipped with input as home
		with data.settings.multiplex_only as true
	started == set() with data.settings as shipped with input as home with data.settings.multiplex_only as true
		with input.profiles.coder.prior_state.desired as "stopped"
}

test_many_names_are_not_all_printed if {
	profiles := {name: profile("running", {"status": "missing"}) | some name in ["default", "a", "b", "c", "d", "e"]}
	started == {["default", "it serves a, b, c and 2 more, which should run"]} with data.settings as shipped with input as home
		with input.profiles as profiles
		with data.settings.multiplex_only as true
}

test_a_transient_state_is_a_wish_and_an_intent_counts_alone if {
	count(started) == 1 with data.settings as shipped with input as home with data.settings.multiplex_only as true
		with input.profiles.coder.prior_state as {"status": "recorded", "gateway": "draining"}
	count(started) == 0 with data.settings as shipped with input as home with data.settings.multiplex_only as true
		with input.profiles.coder.prior_state as {"status": "recorded", "desired": "", "gateway": "running"}
}

test_a_directory_that_is_no_profile_has_no_wish if {
	started == set() with data.settings as shipped with input as home with data.settings.multiplex_only as true
		with input.profiles.coder.markers.files as {}
}

test_an_unreadable_config_is_not_standalone if {
	held == {"coder", "idle", "alone"} with data.settings as shipped with input as home with data.settings.multiplex_only as true
		with input.profiles.alone.config as {"status": "unreadable"}
}

test_without_multiplexing_nobody_serves_them if {
	alarms := multiplex_only.alarm with data.settings as shipped with input as home with data.settings.multiplex_only as true
		with input.container.multiplex.on as false
	{member.code | some member in alarms} == {"not_multiplexing"}
}
