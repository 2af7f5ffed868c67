package reconcile.rules.never_autostart_test

import data.reconcile.rules.never_autostart

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"never_autostart": [], "never_autostart_files": []})

home := {"profiles": {
	"default": {},
	"test-1": {"operator_files": {"status": "missing"}},
	"coder": {"operator_files": {"status": "recorded", "files": {".no-auto-start": {"kind": "file"}}}},
}}

held := {member.profile: member.reason | some member in never_autostart.hold}

test_not_configured_is_no_opinion if {
	held == {} with data.settings as shipped with input as home
}

test_by_pattern if {
	reasons := held with data.settings as shipped with input as home with data.settings.never_autostart as ["test-*", "*-worker"]
	object.keys(reasons) == {"test-1"}
	contains(reasons["test-1"], `"test-*"`)
}

test_by_file if {
	reasons := held with data.settings as shipped with input as home with data.settings.never_autostart_files as [".no-auto-start"]
	object.keys(reasons) == {"coder"}
	contains(reasons.coder, ".no-auto-start")
}

test_a_star_is_everybody if {
	object.keys(held) == {"default", "test-1", "coder"} with data.settings as shipped with input as home
		with data.settings.never_autostart as ["*"]
}

test_a_pattern_is_the_whole_name if {
	held == {} with data.settings as shipped with input as home with data.settings.never_autostart as ["test", "code"]
}

test_who_was_started_by_hand_is_left_running if {
	slots := {"gateway-test-1": {"up": true}, "gateway-test-2": {"up": false}}
	profiles := {"test-1": {}, "test-2": {}, "test-3": {}}
	object.keys(held) == {"test-2", "test-3"} with data.settings as shipped with input as {"profiles": profiles}
		with input.container.s6.slots as slots
		with data.settings.never_autostart as ["test-*"]
}
