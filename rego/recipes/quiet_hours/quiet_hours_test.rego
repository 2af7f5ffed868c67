package reconcile.rules.quiet_hours_test

import data.reconcile.rules.quiet_hours

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"quiet_hours_from": "", "quiet_hours_to": "", "quiet_hours_zone": "UTC", "quiet_hours_days": [], "quiet_hours_profiles": ["*"]})

at(moment) := {"now": {"unix_ns": time.parse_rfc3339_ns(moment)}, "profiles": {"default": {}, "coder": {}}}

until := {member.until | some member in quiet_hours.hold}

again := {member.at | some member in quiet_hours.recheck}

names := {member.profile | some member in quiet_hours.hold}

alarms := {member.reason | some member in quiet_hours.alarm}

test_not_configured_is_no_opinion if {
	until == set() with data.settings as shipped with input as at("2026-11-22T02:00:00Z")
	until == set() with data.settings as shipped with input as at("2026-11-22T02:00:00Z") with data.settings.quiet_hours_from as "22:00"
	again == set() with data.settings as shipped with input as at("2026-11-22T02:00:00Z")
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

# The end of the quiet hours, and their next begin.
clock(moment, zone, from, to) := told if told := {"until": until, "again": again} with data.settings as shipped with input as at(moment)
	with data.settings.quiet_hours_from as from
	with data.settings.quiet_hours_to as to
	with data.settings.quiet_hours_zone as zone

test_the_next_begin_is_told if {
	clock("2026-11-22T21:59:59Z", "UTC", "22:00", "07:00") == {"until": set(), "again": {"2026-11-22T22:00:00Z"}}
	clock("2026-11-22T22:00:00Z", "UTC", "22:00", "07:00") == {"until": {"2026-11-23T07:00:00Z"}, "again": {"2026-11-23T22:00:00Z"}}
	clock("2026-11-23T06:59:59Z", "UTC", "22:00", "07:00") == {"until": {"2026-11-23T07:00:00Z"}, "again": {"2026-11-23T22:00:00Z"}}
	clock("2026-11-23T07:00:00Z", "UTC", "22:00", "07:00") == {"until": set(), "again": {"2026-11-23T22:00:00Z"}}
}

test_the_next_begin_is_on_a_day_that_counts if {
	told := again with data.settings as shipped with input as at("2026-11-21T12:00:00Z")
		with data.settings.quiet_hours_from as "22:00"
		with data.settings.quiet_hours_to as "07:00"
		with data.settings.quiet_hours_days as ["Friday"]
	told == {"2026-11-27T22:00:00Z"}
	a_week := again with data.settings as shipped with input as at("2026-11-20T22:00:00Z")
		with data.settings.quiet_hours_from as "22:00"
		with data.settings.quiet_hours_to as "07:00"
		with data.settings.quiet_hours_days as ["Friday"]
	a_week == {"2026-11-27T22:00:00Z"}
}

test_nobody_to_be_quiet_needs_no_look if {
	told := again with data.settings as shipped with input as at("2026-11-21T12:00:00Z")
		with data.settings.quiet_hours_from as "22:00"
		with data.settings.quiet_hours_to as "07:00"
		with data.settings.quiet_hours_profiles as ["nobody"]
	told == set()
}

# In Zurich the clock goes from 02:00 to 03:00 on 2027-03-28, and from 03:00 back to 02:00
# on 2026-10-25.
test_a_night_with_a_clock_change if {
	zurich := "Europe/Zurich"
	clock("2027-03-27T20:59:00Z", zurich, "22:00", "07:00") == {"until": set(), "again": {"2027-03-27T22:00:00+01:00"}}
	clock("2027-03-28T00:59:00Z", zurich, "22:00", "07:00") == {"until": {"2027-03-28T07:00:00+02:00"}, "again": {"2027-03-28T22:00:00+02:00"}}
	clock("2027-03-28T05:00:00Z", zurich, "22:00", "07:00") == {"until": set(), "again": {"2027-03-28T22:00:00+02:00"}}
	clock("2026-10-24T20:00:00Z", zurich, "22:00", "07:00") == {"until": {"2026-10-25T07:00:00+01:00"}, "again": {"2026-10-25T22:00:00+01:00"}}
	clock("2026-10-25T05:59:00Z", zurich, "22:00", "07:00") == {"until": {"2026-10-25T07:00:00+01:00"}, "again": {"2026-10-25T22:00:00+01:00"}}
	clock("2026-10-25T06:00:00Z", zurich, "22:00", "07:00") == {"until": set(), "again": {"2026-10-25T22:00:00+01:00"}}
}

test_a_time_that_the_clock_leaves_out if {
	zurich := "Europe/Zurich"
	clock("2027-03-27T12:00:00Z", zurich, "02:30", "06:00").again == {"2027-03-28T03:30:00+02:00"}
	clock("2027-03-28T01:29:00Z", zurich, "02:30", "06:00") == {"until": set(), "again": {"2027-03-28T03:30:00+02:00"}}
	clock("2027-03-28T01:30:00Z", zurich, "02:30", "06:00").until == {"2027-03-28T06:00:00+02:00"}
	clock("2027-03-28T00:59:00Z", zurich, "22:00", "02:30").until == {"2027-03-28T03:30:00+02:00"}
	clock("2027-03-28T01:30:00Z", zurich, "22:00", "02:30").until == set()
}

# The quiet hours go on, and end once, although the clock shows each minute twice.
test_a_time_that_the_clock_shows_twice if {
	zurich := "Europe/Zurich"
	clock("2026-10-24T12:00:00Z", zurich, "02:30", "06:00").again == {"2026-10-25T02:30:00+02:00"}
	clock("2026-10-25T00:30:00Z", zurich, "02:30", "06:00").until == {"2026-10-25T06:00:00+01:00"}
	clock("2026-10-25T01:10:00Z", zurich, "02:30", "06:00").until == {"2026-10-25T06:00:00+01:00"}
	clock("2026-10-25T00:29:00Z", zurich, "22:00", "02:30").until == {"2026-10-25T02:30:00+02:00"}
	clock("2026-10-25T00:30:00Z", zurich, "22:00", "02:30") == {"until": set(), "again": {"2026-10-25T22:00:00+01:00"}}
	clock("2026-10-25T01:10:00Z", zurich, "22:00", "02:30").until == set()
}

# 2026-11-01 from 02:00 to 01:00, 2027-03-14 from 02:00 to 03:00.
test_clock_changes_in_new_york if {
	new_york := "America/New_York"
	clock("2026-11-01T01:59:00Z", new_york, "22:00", "07:00") == {"until": set(), "again": {"2026-10-31T22:00:00-04:00"}}
	clock("2026-11-01T02:00:00Z", new_york, "22:00", "07:00") == {"until": {"2026-11-01T07:00:00-05:00"}, "again": {"2026-11-01T22:00:00-05:00"}}
	clock("2026-11-01T12:00:00Z", new_york, "22:00", "07:00") == {"until": set(), "again": {"2026-11-01T22:00:00-05:00"}}
	clock("2027-03-14T03:00:00Z", new_york, "22:00", "07:00") == {"until": {"2027-03-14T07:00:00-04:00"}, "again": {"2027-03-14T22:00:00-04:00"}}
	clock("2027-03-14T11:00:00Z", new_york, "22:00", "07:00") == {"until": set(), "again": {"2027-03-14T22:00:00-04:00"}}
	clock("2026-10-31T12:00:00Z", new_york, "01:30", "05:00").again == {"2026-11-01T01:30:00-04:00"}
}

test_what_is_no_time_is_shown if {
	alarms == {`settings.quiet_hours_to is "7:00", want a time such as "22:00"`} with data.settings as shipped with input as at("2026-11-22T23:00:00Z")
		with data.settings.quiet_hours_from as "22:00"
		with data.settings.quiet_hours_to as "7:00"
	count(alarms) == 1 with data.settings as shipped with input as at("2026-11-22T23:00:00Z") with data.settings.quiet_hours_days as ["friday"]
}
