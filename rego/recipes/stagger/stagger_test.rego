package reconcile.after.stagger_test

import data.reconcile.after.stagger

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"stagger_seconds": 0, "stagger_at_once": 1, "stagger_order": []})

home := {"decisions": {
	"a": {"action": "start"},
	"b": {"action": "down"},
	"c": {"action": "start"},
	"db": {"action": "start"},
}}

waits := {member.profile: member.seconds | some member in stagger.delay}

test_not_configured_is_no_opinion if {
	waits == {} with data.settings as shipped with input as home
}

test_by_name if {
	waits == {"c": 10, "db": 20} with data.settings as shipped with input as home with data.settings.stagger_seconds as 10
}

test_in_a_given_order if {
	waits == {"c": 5, "a": 10} with data.settings as shipped with input as home with data.settings.stagger_seconds as 5
		with data.settings.stagger_order as ["db*", "c", "*"]
}

test_a_name_and_a_pattern_count_where_they_come_first if {
	waits == {"db": 5, "a": 10} with data.settings as shipped with input as home with data.settings.stagger_seconds as 5
		with data.settings.stagger_order as ["c", "d*", "c", "a", "db"]
}

test_several_at_once if {
	waits == {"db": 10} with data.settings as shipped with input as home with data.settings.stagger_seconds as 10
		with data.settings.stagger_at_once as 2
}

test_a_senseless_group_is_one if {
	waits == {"c": 10, "db": 20} with data.settings as shipped with input as home with data.settings.stagger_seconds as 10
		with data.settings.stagger_at_once as 0
}

test_nobody_waits_longer_than_an_hour if {
	waits == {"c": 3000, "db": 3600} with data.settings as shipped with input as home with data.settings.stagger_seconds as 3000
}

test_the_reason_says_which_in_line if {
	members := stagger.delay with data.settings as shipped with input as home with data.settings.stagger_seconds as 10
	{member.reason | some member in members} == {"number 2 of 3 to start", "number 3 of 3 to start"}
}
