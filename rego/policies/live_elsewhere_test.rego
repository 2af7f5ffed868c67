package reconcile.rules.live_elsewhere_test

import data.reconcile.rules.live_elsewhere

shared := {
	"phase": "boot",
	"container": {"s6": {"slots": {}}},
	"profiles": {
		"coder": {"runtime_files": {"lock": {"status": "recorded", "held": true}}},
		"writer": {"runtime_files": {"lock": {"status": "recorded", "held": false}}},
		"kids": {"runtime_files": {"lock": {"status": "unreadable", "held": true}}},
	},
}

held := {member.profile | some member in live_elsewhere.hold}

test_a_held_lock_is_a_gateway_elsewhere if held == {"coder"} with input as shared

test_only_at_a_boot if held == set() with input as shared with input.phase as "apply"

test_not_beside_a_slot_that_is_up if {
	held == set() with input as shared with input.container.s6.slots as {"gateway-coder": {"up": true}}
}
