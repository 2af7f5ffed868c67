package reconcile.rules.paused_test

import data.reconcile.rules.paused

home(pauses) := {
	"container": {"pauses": pauses},
	"profiles": {"coder": {"prior_state": {"desired": "running"}}, "writer": {"prior_state": {"gateway": "starting"}}},
}

pause := {"at_unix": 1795000000, "up": true, "ended": false, "text": "root paused it"}

test_a_pause_holds if {
	members := paused.hold with input as home({"profiles": {"coder": pause, "gone": pause}})
	members == {{"profile": "coder", "code": "paused", "reason": "root paused it"}}
	ending := paused.hold with input as home({"profiles": {"coder": object.union(pause, {"until": "2026-11-19T07:00:00Z"})}})
	{member.until | some member in ending} == {"2026-11-19T07:00:00Z"}
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
