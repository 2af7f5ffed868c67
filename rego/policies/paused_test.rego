package reconcile.rules.paused_test

import data.reconcile.rules.paused

home(pauses) := {
	"container": {"pauses": pauses},
	"profiles": {"coder": {"prior_state": {"desired": "running"}}, "writer": {"prior_state": {"gateway": "starting"}}},
}

pause := {"at_unix": 1795000000, "up": true, "ended": false}

test_a_pause_holds_until_resume if {
	members := paused.hold with input as home({"profiles": {"coder": object.union(pause, {"reason": "a backup"}), "gone": pause}})
	members == {{"profile": "coder", "code": "paused", "reason": "root paused it at 2026-11-18T11:06:40Z (a backup); the pause ends by resume"}}
}

test_a_pause_ends_in_time if {
	members := paused.hold with input as home({"profiles": {"coder": object.union(pause, {"until": "2026-11-19T07:00:00Z"})}})
	{[member.until, member.reason] | some member in members} == {[
		"2026-11-19T07:00:00Z",
		"root paused it at 2026-11-18T11:06:40Z; the pause ends at 2026-11-19T07:00:00Z or by resume",
	]}
	odd := paused.hold with input as home({"profiles": {"coder": object.union(pause, {"until": "soon", "at_unix": -1})}})
	odd == {{"profile": "coder", "code": "paused", "reason": "root paused it; the pause ends by resume"}}
}

test_a_pause_of_all_holds_who_comes_later if {
	members := paused.hold with input as home({"profiles": {"coder": object.union(pause, {"ended": true})}, "others": pause})
	{member.profile | some member in members} == {"writer"}
}

test_what_was_up_starts_without_an_intent if {
	starts(true) == {{"profile": "writer", "code": "was_up", "reason": "it was up before it was paused"}}
	starts(false) == set()
	during := paused.start with input as home({"profiles": {"writer": pause}})
	during == set()
}

starts(up) := members if {
	members := paused.start with input as home({"profiles": {
		"coder": object.union(pause, {"ended": true}),
		"writer": object.union(pause, {"ended": true, "up": up}),
		"gone": object.union(pause, {"ended": true}),
	}})
}

test_without_pauses if {
	every pauses in [{"status": "missing", "profiles": {}}, {"status": "unreadable", "profiles": {}}, {"status": "failed"}] {
		holds := paused.hold with input as home(pauses)
		holds == set()
		members := paused.start with input as home(pauses)
		members == set()
	}
}
