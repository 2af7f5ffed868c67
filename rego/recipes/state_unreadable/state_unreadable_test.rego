package reconcile.rules.state_unreadable_test

import data.reconcile.rules.state_unreadable

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"state_unreadable": "", "state_unreadable_statuses": ["unreadable", "invalid", "empty"]})

home := {"profiles": {
	"torn": {"prior_state": {"status": "invalid"}},
	"empty": {"prior_state": {"status": "empty"}},
	"locked": {"prior_state": {"status": "unreadable"}},
	"slow": {"prior_state": {"status": "timed_out"}},
	"new": {"prior_state": {"status": "missing"}},
	"coder": {"prior_state": {"status": "recorded", "desired": "running"}},
}}

started := {member.profile | some member in state_unreadable.start}

held := {member.profile | some member in state_unreadable.hold}

alarms := {object.get(member, "profile", member.code) | some member in state_unreadable.alarm}

test_not_configured_is_no_opinion if {
started | held | alarms == set() with data.settings as shipped with input as home}

test_start if {
	started == {"torn", "empty", "locked"} with data.settings as shipped with input as home with data.settings.state_unreadable as "start"
	held == set() with data.settings as shipped with input as home with data.settings.state_unreadable as "start"
}

test_hold if {
	held == {"torn", "empty", "locked"} with data.settings as shipped with input as home with data.settings.state_unreadable as "hold"
	started == set() with data.settings as shipped with input as home with data.settings.state_unreadable as "hold"
}

test_either_is_shown if {
	every answer in ["start", "hold"] {
		alarms == {"torn", "empty", "locked"} with data.settings as shipped with input as home with data.settings.state_unreadable as answer
	}
}

test_the_operator_says_which if {
	held == {"slow"} with data.settings as shipped with input as home with data.settings.state_unreadable as "hold"
		with data.settings.state_unreadable_statuses as ["timed_out"]
}

test_another_word_is_shown if {
	alarms == {"bad_setting"} with data.settings as shipped with input as home with data.settings.state_unreadable as "run"
}
