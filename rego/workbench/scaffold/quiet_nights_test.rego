package reconcile.rules.quiet_nights_test

import data.reconcile.lib.example
import data.reconcile.rules.quiet_nights

# The example facts of lib/example_test.rego supply every fact that a test does not
# name.
home := example.home({"scratch-1": {}, "coder": {}})

# The profiles that are held at a time.
held(time) := {member.profile |
	some member in quiet_nights.hold with input as example.at(home, time)
		with data.settings.quiet_nights_profiles as ["scratch-*"]
		with data.settings.quiet_nights_from as 22
		with data.settings.quiet_nights_until as 6
}

test_quiet_over_midnight if {
	held("2026-11-22T22:00:00Z") == {"scratch-1"}
	held("2026-11-22T05:59:59Z") == {"scratch-1"}
}

test_not_by_day if {
	held("2026-11-22T06:00:00Z") == set()
	held("2026-11-22T21:59:59Z") == set()
}

test_within_one_day if {
	members := quiet_nights.hold with input as example.at(home, "2026-11-22T02:30:00Z")
		with data.settings.quiet_nights_profiles as ["*"]
		with data.settings.quiet_nights_from as 1
		with data.settings.quiet_nights_until as 5
	{member.profile | some member in members} == {"scratch-1", "coder"}
}

test_asked_again_at_the_next_hour if {
	members := quiet_nights.recheck with input as example.at(home, "2026-11-22T21:59:30Z")
		with data.settings.quiet_nights_profiles as ["scratch-*"]
	{member.after_seconds | some member in members} == {30}
}

test_none_without_patterns if {
	members := quiet_nights.hold with input as example.at(home, "2026-11-22T23:00:00Z")
		with data.settings.quiet_nights_profiles as []
	count(members) == 0
}
