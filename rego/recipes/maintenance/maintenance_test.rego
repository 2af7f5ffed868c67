package reconcile.rules.maintenance_test

import data.reconcile.rules.maintenance

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"maintenance": false, "maintenance_files": [], "maintenance_except": [], "maintenance_until": ""})

home := {
	"container": {"sentinels": {
		"status": "recorded",
		"estop": {"present": true, "reason": "token leaked"},
		"drain_request": true,
		"fleet_restart_pending": true,
	}},
	"profiles": {"default": {}, "coder": {}, "ops-1": {}},
}

held := {member.profile | some member in maintenance.hold}

reasons := {member.reason | some member in maintenance.hold}

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as home
}

test_by_setting if {
	held == {"default", "coder", "ops-1"} with data.settings as shipped with input as home with data.settings.maintenance as true
	reasons == {"settings.maintenance is true"} with data.settings as shipped with input as home with data.settings.maintenance as true
}

test_exceptions if {
	held == {"default", "coder"} with data.settings as shipped with input as home with data.settings.maintenance as true
		with data.settings.maintenance_except as ["ops-*"]
}

test_by_file if {
	reasons == {"the file ESTOP exists: token leaked"} with data.settings as shipped with input as home
		with data.settings.maintenance_files as ["ESTOP"]
	reasons == {"the file .drain_request.json exists"} with data.settings as shipped with input as home
		with data.settings.maintenance_files as [".drain_request.json"]
	reasons == {"the file fleet_restart_pending exists"} with data.settings as shipped with input as home
		with data.settings.maintenance_files as ["fleet_restart_pending"]
}

test_an_estop_without_a_reason if {
	reasons == {"the file ESTOP exists: it gives no reason"} with data.settings as shipped with input as home
		with input.container.sentinels.estop as {"present": true}
		with data.settings.maintenance_files as ["ESTOP"]
}

test_a_file_that_is_not_there if {
	held == set() with data.settings as shipped with input as home with data.settings.maintenance_files as ["ESTOP"]
		with input.container.sentinels.estop as {"present": false}
	held == set() with data.settings as shipped with input as home with data.settings.maintenance_files as ["ESTOP"]
		with input.container.sentinels as {"status": "timed_out"}
}

test_a_misspelt_file_is_shown if {
	alarms := maintenance.alarm with data.settings as shipped with input as home with data.settings.maintenance_files as ["STOP"]
	{member.code | some member in alarms} == {"bad_setting"}
}

test_it_may_have_an_end if {
	members := maintenance.hold with data.settings as shipped with input as home with data.settings.maintenance as true
		with data.settings.maintenance_until as "2026-11-22T06:00:00Z"
	{member.until | some member in members} == {"2026-11-22T06:00:00Z"}
	endless := maintenance.hold with data.settings as shipped with input as home with data.settings.maintenance as true
	{member.until | some member in endless} == set()
	wrong := maintenance.hold with data.settings as shipped with input as home with data.settings.maintenance as true
		with data.settings.maintenance_until as "tomorrow"
	count(wrong) == 3
	{member.until | some member in wrong} == set()
	alarms := maintenance.alarm with data.settings as shipped with input as home with data.settings.maintenance_until as "tomorrow"
	{member.code | some member in alarms} == {"bad_setting"}
}
