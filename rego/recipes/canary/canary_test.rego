package reconcile.rules.canary_test

import data.reconcile.rules.canary

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"canary_percent": 100, "canary_always": ["default"], "canary_salt": ""})

home := {"profiles": object.union(
	{"default": {}},
	{sprintf("profile-%d", [i]): {} | some i in numbers.range(1, 1000)},
)}

held := {member.profile | some member in canary.hold}

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as home
	canary.alarm == set() with data.settings as shipped with input as home
}

test_about_as_many_as_asked_for if {
	ten := 1000 - count(held) with data.settings as shipped with input as home with data.settings.canary_percent as 10
	ten > 70
	ten < 130
}

test_who_is_in_stays_in if {
	at_10 := held with data.settings as shipped with input as home with data.settings.canary_percent as 10
	at_50 := held with data.settings as shipped with input as home with data.settings.canary_percent as 50
	at_50 - at_10 == set()
}

test_none_and_all if {
	count(held) == 1000 with data.settings as shipped with input as home with data.settings.canary_percent as 0
	not "default" in held with data.settings as shipped with input as home with data.settings.canary_percent as 0
}

test_another_salt_chooses_others if {
	one := held with data.settings as shipped with input as home with data.settings.canary_percent as 50
	other := held with data.settings as shipped with input as home with data.settings.canary_percent as 50 with data.settings.canary_salt as "2"
	one != other
}

test_the_reason_has_both_numbers if {
	members := canary.hold with data.settings as shipped with input as {"profiles": {"coder": {}}} with data.settings.canary_percent as 1.5
	every member in members {
		regex.match(`^its place is \d+\.\d of 100, and settings\.canary_percent is 1\.5$`, member.reason)
	}
	count(members) == 1
}

test_what_is_no_percentage_is_shown if {
	every percent in [0 - 1, 101] {
		alarms := canary.alarm with data.settings as shipped with input as home with data.settings.canary_percent as percent
		count(alarms) == 1
	}
}
