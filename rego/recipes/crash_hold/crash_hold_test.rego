package reconcile.rules.crash_hold_test

import data.reconcile.rules.crash_hold

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"crash_hold_exits": 0, "crash_hold_window_seconds": 600, "crash_hold_seconds": 3600, "crash_hold_fatal_exit_codes": []})

# 2026-11-22T06:00:00Z
now := 1795327200

home(profile) := {"now": {"unix_ns": now * 1000000000}, "profiles": {"coder": profile, "other": {}}}

crashing := {"unclean_exits": {"status": "recorded", "times_unix": [now - 9000, now - 300, now - 200, now - 100]}}

fatal := {
	"lifecycle": {"status": "recorded", "phase": "exited", "exit_code": 78, "exited_at_unix": now - 60},
	"markers": {"status": "recorded", "files": {".env": {"modified_unix": now - 4000}}},
}

held := {[member.profile, member.code] | some member in crash_hold.hold}

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as home(object.union(crashing, fatal))
}

test_too_many_within_the_window if {
	members := crash_hold.hold with data.settings as shipped with input as home(crashing) with data.settings.crash_hold_exits as 3
	{member.until | some member in members} == {"2026-11-22T06:58:20Z"}
	every member in members {
		member.profile == "coder"
		contains(member.reason, "3 unclean exits within 600 s before 2026-11-22T05:58:20Z")
	}
}

test_those_before_the_window_do_not_count if {
	held == set() with data.settings as shipped with input as home(crashing) with data.settings.crash_hold_exits as 4
	held == {["coder", "crash_hold"]} with data.settings as shipped with input as home(crashing) with data.settings.crash_hold_exits as 4
		with data.settings.crash_hold_window_seconds as 10000
}

test_an_exit_of_tomorrow_does_not_count if {
	future := {"unclean_exits": {"status": "recorded", "times_unix": [now + 50, now + 60, now + 70]}}
	held == set() with data.settings as shipped with input as home(future) with data.settings.crash_hold_exits as 3
}

test_no_log_is_no_crash if {
	every fact in [{"status": "missing", "times_unix": []}, {"status": "timed_out"}] {
		held == set() with data.settings as shipped with input as home({"unclean_exits": fact}) with data.settings.crash_hold_exits as 1
	}
}

test_a_fatal_exit_code_holds if {
	held == {["coder", "fatal_config"]} with data.settings as shipped with input as home(fatal) with data.settings.crash_hold_fatal_exit_codes as ["78"]
	held == set() with data.settings as shipped with input as home(fatal) with data.settings.crash_hold_fatal_exit_codes as ["1", "7"]
	held == {["coder", "fatal_config"]} with data.settings as shipped with input as home(fatal) with data.settings.crash_hold_fatal_exit_codes as [78]
}

test_a_changed_file_releases if {
	mended := object.union(fatal, {"markers": {"files": {"config.yaml": {"modified_unix": now - 10}}}})
	held == set() with data.settings as shipped with input as home(mended) with data.settings.crash_hold_fatal_exit_codes as ["78"]
}

test_an_exit_of_a_clock_that_was_ahead_does_not_hold if {
	ahead := object.union(fatal, {"lifecycle": {"exited_at_unix": now + 31536000}})
	held == set() with data.settings as shipped with input as home(ahead) with data.settings.crash_hold_fatal_exit_codes as ["78"]
}

test_an_exit_at_an_unknown_time_holds if {
	timeless := object.remove(fatal, ["lifecycle"])
	lifecycle := {"lifecycle": {"status": "recorded", "phase": "exited", "exit_code": 78}}
	held == {["coder", "fatal_config"]} with data.settings as shipped with input as home(object.union(timeless, lifecycle))
		with data.settings.crash_hold_fatal_exit_codes as ["78"]
}

test_a_gateway_that_did_not_end_by_itself_is_not_meant if {
	running := object.union(fatal, {"lifecycle": {"phase": "running"}})
	held == set() with data.settings as shipped with input as home(running) with data.settings.crash_hold_fatal_exit_codes as ["78"]
}

test_the_slot_counts_too if {
	members := crash_hold.restart with data.settings as shipped with input as home({}) with data.settings.crash_hold_exits as 3
		with data.settings.crash_hold_fatal_exit_codes as ["78", "x"]
	{member.profile | some member in members} == {"coder", "other"}
	every member in members {
		member.budget == {"deaths": 3, "window_seconds": 600}
		member.hold_seconds == 3600
		member.exit_codes == {"78": "never"}
		member.reason == "exit code 78: never; 3 deaths within 600 s: hold for 3600 s"
	}
	none := crash_hold.restart with data.settings as shipped with input as home({})
	none == set()
	odd := crash_hold.restart with data.settings as shipped with input as home({}) with data.settings.crash_hold_exits as 2.5
	odd == set()
}
