package reconcile.rules.volume_owner_test

import data.reconcile.rules.volume_owner

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"volume_owner_stale_seconds": 0})

# 2026-11-22T06:00:00Z
now := 1795327200

home(lease) := {"now": {"unix_ns": now * 1000000000}, "container": {
	"host": {"status": "recorded", "hostname": "gateway-2", "boot_id": "b2", "started_at_unix": now - 30},
	"owner_lease": lease,
}}

fresh := {"status": "recorded", "host": "gateway-1", "boot_id": "b1", "seen_at_unix": now - 12}

skips := {member.reason | some member in volume_owner.skip}

alarms := {member.code | some member in volume_owner.alarm}

test_not_configured_is_no_opinion if {
	skips == set() with data.settings as shipped with input as home(fresh)
	alarms == set() with data.settings as shipped with input as home({"status": "invalid"})
}

test_a_fresh_lease_of_another_container if {
	reason := "the volume belongs to gateway-1, seen 12 s ago (settings.volume_owner_stale_seconds is 90)"
	skips == {reason} with data.settings as shipped with input as home(fresh) with data.settings.volume_owner_stale_seconds as 90
}

test_a_stale_lease_does_not_count if {
	skips == set() with data.settings as shipped with input as home(fresh) with data.settings.volume_owner_stale_seconds as 12
	skips == set() with data.settings as shipped with input as home(object.union(fresh, {"seen_at_unix": now - 900}))
		with data.settings.volume_owner_stale_seconds as 90
}

test_our_own_lease if {
	ours := object.union(fresh, {"host": "gateway-2", "boot_id": "b2"})
	skips == set() with data.settings as shipped with input as home(ours) with data.settings.volume_owner_stale_seconds as 90
}

test_our_own_from_before_a_reboot if {
	ours := object.union(fresh, {"host": "gateway-2", "boot_id": "b0", "seen_at_unix": now - 60})
	skips == set() with data.settings as shipped with input as home(ours) with data.settings.volume_owner_stale_seconds as 90
}

test_our_name_on_another_machine if {
	namesake := object.union(fresh, {"host": "gateway-2", "boot_id": "b1", "seen_at_unix": now - 5})
	count(skips) == 1 with data.settings as shipped with input as home(namesake) with data.settings.volume_owner_stale_seconds as 90
}

test_a_lease_in_the_future_is_not_believed if {
	later := object.union(fresh, {"seen_at_unix": now + 900})
	skips == set() with data.settings as shipped with input as home(later) with data.settings.volume_owner_stale_seconds as 90
	alarms == {"lease_unusable"} with data.settings as shipped with input as home(later) with data.settings.volume_owner_stale_seconds as 90
}

test_a_lease_that_makes_no_sense_is_shown if {
	every lease in [{"status": "invalid"}, {"status": "unreadable"}, {"status": "recorded", "host": "gateway-1"}] {
		skips == set() with data.settings as shipped with input as home(lease) with data.settings.volume_owner_stale_seconds as 90
		alarms == {"lease_unusable"} with data.settings as shipped with input as home(lease) with data.settings.volume_owner_stale_seconds as 90
	}
}

test_no_lease_is_nothing_to_say if {
	skips == set() with data.settings as shipped with input as home({"status": "missing"}) with data.settings.volume_owner_stale_seconds as 90
	alarms == set() with data.settings as shipped with input as home({"status": "missing"}) with data.settings.volume_owner_stale_seconds as 90
}
