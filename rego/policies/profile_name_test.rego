package reconcile.rules.profile_name_test

import data.reconcile.rules.profile_name

home := {"profiles": {
	"coder": {"name": {"valid": true, "problem": ""}},
	"Bad Name": {"name": {"valid": false, "problem": "characters"}},
	"profiles/default": {"name": {"valid": false, "problem": "reserved"}},
	"linked": {"name": {"valid": false, "problem": "link"}},
}}

test_bad_names_get_no_slot_and_good_ones_are_left_alone if {
	skipped := profile_name.skip with input as home
	{member.profile | some member in skipped} == {"Bad Name", "profiles/default", "linked"}
}

test_they_are_shown if {
	alarms := profile_name.alarm with input as home
	{member.profile | some member in alarms} == {"Bad Name", "profiles/default", "linked"}
}

test_every_problem_has_a_sentence if {
	every problem in ["characters", "too_long", "reserved", "link", "not_a_directory"] {
		skipped := profile_name.skip with input as {"profiles": {"x": {"name": {"valid": false, "problem": problem}}}}
		count(skipped) == 1
	}
}
