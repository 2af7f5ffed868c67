package reconcile.rules.low_disk_test

import data.reconcile.rules.low_disk

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"low_disk_mb": 0, "low_disk_percent": 0, "low_disk_except": []})

home := {
	"container": {"disk": {"status": "recorded", "home_free_bytes": 120999999, "home_free_percent": 2.5}},
	"profiles": {"default": {}, "coder": {}},
}

held := {[member.profile, member.reason] | some member in low_disk.hold}

alarms := {member.code | some member in low_disk.alarm}

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as home
	alarms == set() with data.settings as shipped with input as home with input.container.disk as {"status": "failed"}
}

test_too_few_megabytes if {
	reason := "120 MB are free on the volume, and settings.low_disk_mb asks for 500"
	held == {["default", reason], ["coder", reason]} with data.settings as shipped with input as home with data.settings.low_disk_mb as 500
}

test_too_few_percent if {
	reason := "2 % of the volume are free, and settings.low_disk_percent asks for 5"
	held == {["default", reason], ["coder", reason]} with data.settings as shipped with input as home with data.settings.low_disk_percent as 5
}

test_the_limit_itself_is_enough if {
	held == set() with data.settings as shipped with input as home with data.settings.low_disk_mb as 120
		with data.settings.low_disk_percent as 2.5
}

test_exceptions if {
	{pair[0] | some pair in held} == {"coder"} with data.settings as shipped with input as home with data.settings.low_disk_mb as 500
		with data.settings.low_disk_except as ["default"]
}

test_unknown_space_is_shown_and_holds_nobody if {
	held == set() with data.settings as shipped with input as home with input.container.disk as {"status": "timed_out"}
		with data.settings.low_disk_mb as 500
	alarms == {"disk_unknown"} with data.settings as shipped with input as home with input.container.disk as {"status": "timed_out"}
		with data.settings.low_disk_mb as 500
	alarms == {"disk_unknown"} with data.settings as shipped with input as home with input.container.disk as {"status": "timed_out"}
		with data.settings.low_disk_percent as 5
}
