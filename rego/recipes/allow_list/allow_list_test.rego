package reconcile.rules.allow_list_test

import data.reconcile.rules.allow_list

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"allow_list": ["*"]})

home(vars) := {
	"container": {"environment": {"vars": vars}},
	"profiles": {"default": {}, "coder": {}, "team-a": {}, "team-b": {}},
}

held := {member.profile | some member in allow_list.hold}

alarms := {member.code | some member in allow_list.alarm}

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as home({})
	alarms == set() with data.settings as shipped with input as home({})
	held == set() with data.settings as shipped with input as {"container": {"environment": {"status": "timed_out"}}, "profiles": {"coder": {}}}
}

test_by_environment if {
	held == {"team-a", "team-b"} with data.settings as shipped with input as home({"HERMES_RECONCILE_PROFILES": "default, coder"})
	held == {"default", "coder"} with data.settings as shipped with input as home({"HERMES_RECONCILE_PROFILES": "team-*"})
	held == set() with data.settings as shipped with input as home({"HERMES_RECONCILE_PROFILES": "*"})
}

test_empty_is_nobody if {
	everybody := {"default", "coder", "team-a", "team-b"}
	held == everybody with data.settings as shipped with input as home({"HERMES_RECONCILE_PROFILES": ""})
	held == everybody with data.settings as shipped with input as home({"HERMES_RECONCILE_PROFILES": " , "})
	held == everybody with data.settings as shipped with input as home({}) with data.settings.allow_list as []
}

test_by_setting_and_the_environment_counts_instead if {
	held == {"default", "team-a", "team-b"} with data.settings as shipped with input as home({}) with data.settings.allow_list as ["coder"]
	held == {"coder", "team-a", "team-b"} with data.settings as shipped with input as home({"HERMES_RECONCILE_PROFILES": "default"})
		with data.settings.allow_list as ["coder"]
}

test_the_reason_names_the_list if {
	members := allow_list.hold with data.settings as shipped with input as home({"HERMES_RECONCILE_PROFILES": "default"})
	every member in members {
		member.reason == "not on the list of HERMES_RECONCILE_PROFILES"
	}
	others := allow_list.hold with data.settings as shipped with input as home({}) with data.settings.allow_list as []
	every member in others {
		member.reason == "not on the list of settings.allow_list"
	}
}

test_a_name_that_is_no_profile_is_shown if {
	members := allow_list.alarm with data.settings as shipped with input as home({"HERMES_RECONCILE_PROFILES": "codr,team-*,x-*"})
	{member.code | some member in members} == {"list_unknown_name"}
	every member in members {
		contains(member.reason, `"codr"`)
	}
}

test_a_list_that_was_cut_is_shown if {
	long := concat(",", [sprintf("profile-%d", [i]) | some i in numbers.range(1000, 1100)])
	"list_cut" in alarms with data.settings as shipped with input as home({"HERMES_RECONCILE_PROFILES": long})
}
