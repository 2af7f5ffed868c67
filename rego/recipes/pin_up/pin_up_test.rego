package reconcile.rules.pin_up_test

import data.reconcile.rules.pin_up

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"pin_up": []})

home := {"profiles": {"default": {}, "prod-1": {}, "prod-2": {}, "coder": {}}}

started := {member.profile | some member in pin_up.start}

alarms := {member.reason | some member in pin_up.alarm}

test_not_configured_is_no_opinion if {
	started == set() with data.settings as shipped with input as home
	alarms == set() with data.settings as shipped with input as home
}

test_by_name_and_pattern if {
	started == {"coder", "prod-1", "prod-2"} with data.settings as shipped with input as home with data.settings.pin_up as ["coder", "prod-*"]
	alarms == set() with data.settings as shipped with input as home with data.settings.pin_up as ["coder", "prod-*", "no-such-*"]
}

test_a_name_that_is_no_profile_is_shown if {
	alarms == {`settings.pin_up has "codr", and there is no such profile`} with data.settings as shipped with input as home
		with data.settings.pin_up as ["codr"]
}
