package reconcile.rules.restart_table_test

import data.reconcile.rules.restart_table

# The shipped settings, whatever the operator has set.
shipped := object.union(object.remove(data.settings, ["restart_table_exceptions"]), {"restart_table_never": [], "restart_table_now": [], "restart_table_backoff": [], "restart_table_deaths": 0, "restart_table_window_seconds": 600, "restart_table_on_exhaustion": "hold", "restart_table_hold_seconds": 0, "restart_table_uncounted": [], "restart_table_count_term": false, "restart_table_reset_after_seconds": 0, "restart_table_exceptions": {}, "restart_table_profiles": ["*"]})

home := {"profiles": {"default": {}, "coder": {}}}

test_not_configured_is_no_opinion if {
	restart_table.restart == set() with data.settings as shipped with input as home
}

test_by_exit_code if {
	members := restart_table.restart with data.settings as shipped with input as home
		with data.settings.restart_table_never as ["0", "78"]
		with data.settings.restart_table_backoff as ["1"]
		with data.settings.restart_table_now as ["75"]
	{member.profile | some member in members} == {"default", "coder"}
	every member in members {
		member.exit_codes == {"0": "never", "78": "never", "1": "backoff", "75": "now"}
		not member.budget
	}
}

test_the_reason_is_the_table if {
	members := restart_table.restart with data.settings as shipped with input as home with data.settings.restart_table_never as ["78"]
		with data.settings.restart_table_backoff as ["1"]
		with data.settings.restart_table_deaths as 5
	{member.reason | some member in members} == {"exit code 1: backoff; exit code 78: never; 5 deaths within 600 s: hold"}
	others := restart_table.restart with data.settings as shipped with input as home with data.settings.restart_table_never as ["78"]
	{member.reason | some member in others} == {"exit code 78: never"}
}

test_the_careful_answer_wins if {
	members := restart_table.restart with data.settings as shipped with input as home
		with data.settings.restart_table_never as ["1"]
		with data.settings.restart_table_backoff as ["1", "2"]
		with data.settings.restart_table_now as ["1", "2", "3"]
	every member in members {
		member.exit_codes == {"1": "never", "2": "backoff", "3": "now"}
	}
}

test_any_ending if {
	members := restart_table.restart with data.settings as shipped with input as home
		with data.settings.restart_table_never as ["oom"]
		with data.settings.restart_table_now as ["SIGTERM"]
		with data.settings.restart_table_uncounted as ["75"]
		with data.settings.restart_table_backoff as ["*"]
		with data.settings.restart_table_count_term as true
		with data.settings.restart_table_reset_after_seconds as 900
	count(members) == 2
	every member in members {
		member.exit_codes == {"oom": "never", "SIGTERM": "now", "75": "uncounted", "*": "backoff"}
		member.count_term == true
		member.reset_after_seconds == 900
		member.reason == "*: backoff; exit code 75: uncounted; SIGTERM: now; oom: never"
	}
}

test_an_exception_wins if {
	members := restart_table.restart with data.settings as shipped with input as home with data.settings.restart_table_deaths as 10
		with data.settings.restart_table_never as ["78"]
		with data.settings.restart_table_profiles as ["default"]
		with data.settings.restart_table_exceptions as {"coder": {"deaths": 3, "backoff": "oom"}, "gone": {"deaths": 1}}
	{[member.profile, member.budget.deaths, object.get(member, "priority", 0)] | some member in members} == {["default", 10, 0], ["coder", 3, 1]}
	{member.exit_codes | some member in members; member.profile == "coder"} == {{"78": "never", "oom": "backoff"}}
}

test_an_exception_that_makes_no_sense if {
	exceptions := {"coder": {"death": 3, "never": ["SIGNONE"], "deaths": 2}, "default": 7}
	members := restart_table.restart with data.settings as shipped with input as home with data.settings.restart_table_exceptions as exceptions
	{member.budget.deaths | some member in members} == {2}
	alarms := {member.reason |
		some member in restart_table.alarm with data.settings as shipped with input as home with data.settings.restart_table_exceptions as exceptions
	}
	every word in ["coder: has no key \"death\", have", "coder: never has \"SIGNONE\"", "default is 7, want an object"] {
		some reason in alarms
		contains(reason, word)
	}
	count(alarms) == 3
}

test_a_budget if {
	members := restart_table.restart with data.settings as shipped with input as home with data.settings.restart_table_deaths as 5
		with data.settings.restart_table_on_exhaustion as "slow"
	count(members) == 2
	every member in members {
		member.budget == {"deaths": 5, "window_seconds": 600}
		member.on_exhaustion == "slow"
		not member.exit_codes
	}
}

test_for_whom if {
	members := restart_table.restart with data.settings as shipped with input as home with data.settings.restart_table_deaths as 5
		with data.settings.restart_table_profiles as ["cod*"]
	{member.profile | some member in members} == {"coder"}
}

test_what_makes_no_sense_is_shown_and_left_out if {
	members := restart_table.restart with data.settings as shipped with input as home with data.settings.restart_table_never as [78, "256", "x"]
		with data.settings.restart_table_deaths as 5
		with data.settings.restart_table_on_exhaustion as "sleep"
	every member in members {
		member.exit_codes == {"78": "never"}
		not member.budget
	}
	count(members) == 2
	alarms := restart_table.alarm with data.settings as shipped with input as home with data.settings.restart_table_never as [78, "256", "x"]
		with data.settings.restart_table_deaths as 5
		with data.settings.restart_table_on_exhaustion as "sleep"
	count(alarms) == 3
	every wrong in [0 - 1, 0.5, 4097] {
		none := restart_table.restart with data.settings as shipped with input as home with data.settings.restart_table_deaths as wrong
		none == set()
		shown := restart_table.alarm with data.settings as shipped with input as home with data.settings.restart_table_deaths as wrong
		count(shown) == 1
	}
}

held_for(seconds, exhaustion) := {member |
	some member in restart_table.restart with data.settings as shipped with input as home with data.settings.restart_table_deaths as 5
		with data.settings.restart_table_on_exhaustion as exhaustion
		with data.settings.restart_table_hold_seconds as seconds
}

test_how_long_a_hold_lasts if {
	every member in held_for(3600, "hold") {
		member.hold_seconds == 3600
		member.reason == "5 deaths within 600 s: hold for 3600 s"
	}
	count(held_for(3600, "hold")) == 2
	every members in [held_for(0, "hold"), held_for(3600, "slow")] {
		count(members) == 2
		every member in members {
			not member.hold_seconds
		}
	}
}

test_a_hold_that_makes_no_sense_is_shown_and_left_out if {
	every wrong in [0 - 1, 31622401, "long", null] {
		members := held_for(wrong, "hold")
		count(members) == 2
		every member in members {
			not member.hold_seconds
		}
		alarms := restart_table.alarm with data.settings as shipped with input as home with data.settings.restart_table_hold_seconds as wrong
		{member.code | some member in alarms} == {"bad_setting"}
	}
	none := restart_table.alarm with data.settings as shipped with input as home with data.settings.restart_table_hold_seconds as 31622400
	none == set()
}
