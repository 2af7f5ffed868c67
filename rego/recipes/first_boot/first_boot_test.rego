package reconcile.rules.first_boot_test

import data.reconcile.rules.first_boot

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"first_boot_running": [], "first_boot_stopped": []})

home := {"profiles": {
	"new": {"name": {"valid": true}, "prior_state": {"status": "missing"}},
	"new-2": {"name": {"valid": true}, "prior_state": {"status": "missing"}},
	"Bad": {"name": {"valid": false}, "prior_state": {"status": "missing"}},
	"old": {"name": {"valid": true}, "prior_state": {"status": "recorded", "desired": "stopped"}},
	"torn": {"name": {"valid": true}, "prior_state": {"status": "invalid"}},
}}

started := {member.profile | some member in first_boot.start}

seeded := {[member.profile, member.state] | some member in first_boot.seed}

test_not_configured_is_no_opinion if {
	started == set() with data.settings as shipped with input as home
	seeded == set() with data.settings as shipped with input as home
}

test_a_new_profile_starts_and_is_written_down if {
	started == {"new", "new-2"} with data.settings as shipped with input as home with data.settings.first_boot_running as ["*"]
	seeded == {["new", "running"], ["new-2", "running"]} with data.settings as shipped with input as home
		with data.settings.first_boot_running as ["*"]
}

test_by_name if {
	started == {"new"} with data.settings as shipped with input as home with data.settings.first_boot_running as ["new"]
}

test_stopped_is_written_down_too if {
	seeded == {["new", "stopped"], ["new-2", "stopped"]} with data.settings as shipped with input as home
		with data.settings.first_boot_stopped as ["*"]
	started == set() with data.settings as shipped with input as home with data.settings.first_boot_stopped as ["*"]
}

test_who_is_in_both_lists_starts if {
	seeded == {["new", "running"], ["new-2", "stopped"]} with data.settings as shipped with input as home
		with data.settings.first_boot_running as ["new"]
		with data.settings.first_boot_stopped as ["*"]
}
