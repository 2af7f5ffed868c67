package reconcile.rules.topology_test

import data.reconcile.rules.topology

# The shipped settings, whatever the operator has set.
shipped := object.union(object.remove(data.settings, ["topology"]), {"topology": {}})

running := {
	"name": {"valid": true},
	"markers": {"status": "recorded", "files": {"SOUL.md": {"kind": "file"}}},
	"prior_state": {"status": "recorded", "desired": "running"},
}

home := {
	"container": {"multiplex": {"on": true}},
	"profiles": {
		"default": {"prior_state": {"status": "missing"}},
		"coder": running,
		"kids": running,
		"old": running,
		"idle": {"prior_state": {"status": "recorded", "desired": "stopped"}},
	},
}

words := {"*": "multiplex", "coder": "standalone", "old": "off"}

held := {member.profile: member.code | some member in topology.hold}

alarms := {[object.get(member, "profile", ""), member.code] | some member in topology.alarm}

test_not_configured_is_no_opinion if {
	held == {} with data.settings as shipped with input as home
	topology.start == set() with data.settings as shipped with input as home
	topology.waive == set() with data.settings as shipped with input as home
	alarms == set() with data.settings as shipped with input as home
}

test_each_word if {
	held == {"kids": "served_by", "idle": "served_by", "old": "disabled"} with data.settings as shipped with input as home
		with data.settings.topology as words
	waived := topology.waive with data.settings as shipped with input as home with data.settings.topology as words
	{[member.profile, member.rule] | some member in waived} == {["coder", "reconcile.rules.multiplex"]}
	alarms == set() with data.settings as shipped with input as home with data.settings.topology as words
}

test_the_root_profile_inherits_the_wish if {
	started := topology.start with data.settings as shipped with input as home with data.settings.topology as words
	{[member.profile, member.reason] | some member in started} == {["default", "it serves kids, which should run"]}
	none := topology.start with data.settings as shipped with input as home with data.settings.topology as words
		with input.profiles.kids.prior_state.desired as "stopped"
	none == set()
}

test_a_directory_that_is_no_profile_has_no_wish if {
	none := topology.start with data.settings as shipped with input as home with data.settings.topology as words
		with input.profiles.kids.markers.files as {}
	none == set()
}

test_many_names_are_not_all_printed if {
	profiles := {name: running | some name in ["default", "a", "b", "c", "d", "e"]}
	started := topology.start with data.settings as shipped with input as {"container": {"multiplex": {"on": true}}, "profiles": profiles}
		with data.settings.topology as {"*": "multiplex"}
	{member.reason | some member in started} == {"it serves a, b, c and 2 more, which should run"}
}

test_nobody_without_an_owner if {
	alarms == {["kids", "no_owner"]} with data.settings as shipped with input as home with data.settings.topology as words
		with input.container.multiplex.on as false
	alarms == {["kids", "no_owner"]} with data.settings as shipped with input as home
		with data.settings.topology as object.union(words, {"default": "off"})
	alarms == {["kids", "no_owner"]} with data.settings as shipped with input as home with data.settings.topology as words
		with input.profiles["default"].prior_state.served_profiles as ["idle"]
	alarms == {["kids", "no_owner"]} with data.settings as shipped with input as home with data.settings.topology as words
		with input.container.multiplex.allowlist as ["idle"]
	alarms == set() with data.settings as shipped with input as home with data.settings.topology as words
		with input.profiles["default"].prior_state.served_profiles as ["kids"]
		with input.container.multiplex.allowlist as ["kids"]
}

test_a_long_pattern_beats_a_short_one if {
	modes := {"*": "off", "k*": "standalone", "ki*": "multiplex"}
	held == {"default": "disabled", "coder": "disabled", "old": "disabled", "idle": "disabled", "kids": "served_by"} with data.settings as shipped with input as home
		with data.settings.topology as modes
}

test_who_matches_nothing_is_left_alone if {
	held == {"old": "disabled"} with data.settings as shipped with input as home with data.settings.topology as {"o*": "off"}
}

test_a_transient_state_is_a_wish if {
	started := topology.start with data.settings as shipped with input as home with data.settings.topology as words
		with input.profiles.kids.prior_state as {"status": "recorded", "gateway": "draining"}
	count(started) == 1
}

test_another_word_is_shown if {
	alarms == {["", "bad_setting"]} with data.settings as shipped with input as home with data.settings.topology as {"coder": "alone"}
}
