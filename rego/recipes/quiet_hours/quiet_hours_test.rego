package reconcile.rules.quiet_hours_test

import data.reconcile.rules.quiet_hours

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"quiet_hours_from": "", "quiet_hours_to": "", "quiet_hours_zone": "UTC", "quiet_hours_days": [], "quiet_hours_profiles": ["*"]})

at(moment) := {"now": {"unix_ns": time.parse_rfc3339_ns(moment)}, "profiles": {"default": {}, "coder": {}}}

until := {member.until | some member in quiet_hours.hold}

names := {member.profile | some member in quiet_hours.hold}

alarms := {member.reason | some member in quiet_hours.alarm}

test_not_configured_is_no_opinion if {
	until == set() with data.settings as shipped with input as at("2026-11-22T02:00:00Z")
	until == set() with data.settings as shipped with input as at("2026-11-22T02:00:00Z") with data.settings.quiet_hours_from as "22:00"
}

night(moment) := ends if ends := until with data.settings as shipped with input as at(moment)
	with data.settings.quiet_hours_from as "22:00"
	with data.settings.quiet_hours_to as "07:00"

test_a_night_over_midnight if {
	night("2026-11-22T21:59:59Z") == set()
	night("2026-11-22T22:00:00Z") == {"2026-11-23T07:00:00Z"}
	night("2026-11-23T03:30:30Z") == {"2026-11-23T07:00:00Z"}
	night("2026-11-23T06:59:59Z") == {"2026-11-23T07:00:00Z"}
	night("2026-11-23T07:00:00Z") == set()
}

noon(moment) := ends if ends := until with data.settings as shipped with input as at(moment)
	with data.settings.quiet_hours_from as "12:00"
	with data.settings.quiet_hours_to as "13:30"

test_hours_of_one_day if {
	noon("2026-11-22T12:15:00Z") == {"2026-11-22T13:30:00Z"}
	noon("2026-11-22T13:30:00Z") == set()
	noon("2026-11-22T02:00:00Z") == set()
}

berlin(moment) := ends if ends := until with data.settings as shipped with input as at(moment)
	with data.settings.quiet_hours_from as "22:00"
	with data.settings.quiet_hours_to as "07:00"
	with data.settings.quiet_hours_zone as "Europe/Berlin"

test_a_time_zone_by_name if {
	berlin("2026-11-22T20:59:00Z") == set()
	berlin("2026-11-22T21:00:00Z") == {"2026-11-23T07:00:00+01:00"}
	berlin("2026-07-01T20:00:00Z") == {"2026-07-02T07:00:00+02:00"}
}

# On 2026-10-25 the clock shows 02:30 twice, on 2026-03-29 never.
test_the_end_of_summer_time if {
	berlin("2026-10-24T21:00:00Z") == {"2026-10-25T07:00:00+01:00"}
	berlin("2026-03-28T22:00:00Z") == {"2026-03-29T07:00:00+02:00"}
}

test_the_days_are_those_on_which_it_begins if {
	friday_night := [at("2026-11-20T23:00:00Z"), at("2026-11-21T03:00:00Z")]
	every moment in friday_night {
		names == {"default", "coder"} with data.settings as shipped with input as moment
			with data.settings.quiet_hours_from as "22:00"
			with data.settings.quiet_hours_to as "07:00"
			with data.settings.quiet_hours_days as ["Friday"]
		names == set() with data.settings as shipped with input as moment
			with data.settings.quiet_hours_from as "22:00"
			with data.settings.quiet_hours_to as "07:00"
			with data.settings.quiet_hours_days as ["Saturday"]
	}
}

test_for_whom if {
	names == {"coder"} with data.settings as shipped with input as at("2026-11-22T23:00:00Z")
		with data.settings.quiet_hours_from as "22:00"
		with data.settings.quiet_hours_to as "07:00"
		with data.settings.quiet_hours_profiles as ["cod*"]
}

test_equal_times_are_no_opinion if {
	names == set() with data.settings as shipped with input as at("2026-11-22T22:00:00Z")
		with data.settings.quiet_hours_from as "22:00"
		with data.settings.quiet_hours_to as "22:00"
}

test_what_is_no_time_is_shown if {
	alarms == {`settings.quiet_hours_to is "7:00", want a time such as "22:00"`} with data.settings as shipped with input as at("2026-11-22T23:00:00Z")
		with data.settings.quiet_hours_from as "22:00"
		with data.settings.quiet_hours_to as "7:00"
	count(alarms) == 1 with data.settings as shipped with input as at("2026-11-22T23:00:00Z") with data.settings.quiet_hours_days as ["friday"]
}
