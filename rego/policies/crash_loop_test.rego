package reconcile.rules.crash_loop_test

import data.reconcile.rules.crash_loop

home := {"profiles": {"coder": {}, "default": {}}}

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"crash_loop_deaths": 20, "crash_loop_window_seconds": 600})

test_every_gateway_slows_down if {
	members := crash_loop.restart with input as home with data.settings as shipped
	{member.profile | some member in members} == {"coder", "default"}
	every member in members {
		member.budget == {"deaths": 20, "window_seconds": 600}
		member.on_exhaustion == "slow"
		member.priority < 0
		member.reason == "after 20 deaths within 600 s the starts slow down"
	}
}

test_off if {
	crash_loop.restart == set() with input as home with data.settings as object.union(shipped, {"crash_loop_deaths": 0})
}
