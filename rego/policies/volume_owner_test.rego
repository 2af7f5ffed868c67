package reconcile.rules.volume_owner_test

import data.reconcile.rules.stale_runtime_files
import data.reconcile.rules.volume_owner

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"volume_owner_share": false, "volume_owner_ttl_seconds": 30, "sweep_files": ["gateway.pid"]})

# 2026-11-22T06:00:00Z
now := 1795327200

situation(phase, own, lease) := with_own(phase, object.union({"status": "recorded", "id": "ours"}, own), lease)

with_own(phase, own, lease) := {
	"phase": phase,
	"now": {"unix_ns": (now * 1000000000) + 5},
	"container": {
		"host": {"status": "recorded", "hostname": "gateway-2", "boot_id": "b2", "started_at_unix": now - 300},
		"own_lease": own,
		"owner_lease": lease,
	},
	"profiles": {"coder": {"runtime_files": {"files": {"gateway.pid": {"sweepable": true}}}}, "writer": {}},
}

boot(found) := situation("boot", {}, found)

lease(age) := {
	"status": "recorded", "host": "gateway-1", "boot_id": "b1", "id": "theirs",
	"seen_at_unix": now - age, "ttl_seconds": 30,
}

# What a watch remembers that saw the lease of this age so many seconds ago for the first time.
seen(age, since) := {"other_id": "theirs", "other_seen_at_unix": now - age, "changed_unix": now - since}

held := {member.profile | some member in volume_owner.hold}

until := {member.until | some member in volume_owner.hold}

soon := {member.after_seconds | some member in volume_owner.recheck}

codes := {member.code | some member in volume_owner.alarm}

test_a_fresh_lease_of_another_container_holds_all if {
	some phase in ["boot", "apply"]
	found := situation(phase, {}, lease(12))
	held == {"coder", "writer"} with data.settings as shipped with input as found
	until == {"2026-11-22T06:00:18Z"} with data.settings as shipped with input as found
	{member.reason | some member in volume_owner.hold} == {"the volume belongs to the container gateway-1 (state/reconcile.owner.json)"} with data.settings as shipped
		with input as found
}

test_a_watch_that_waits_sees_each_renewal_soon if {
	soon == {8} with data.settings as shipped with input as situation("apply", seen(12, 12), lease(2))
	soon == set() with data.settings as shipped with input as boot(lease(2))
}

test_its_runtime_files_stay if {
	stale_runtime_files.sweep == set() with data.settings as shipped with input as boot(lease(12))
	count(stale_runtime_files.sweep) == 1 with data.settings as shipped with input as boot(lease(31))
}

test_a_stale_lease_holds_nothing if {
	held == set() with data.settings as shipped with input as boot(lease(30))
	codes == set() with data.settings as shipped with input as boot(lease(30))
}

test_a_shared_volume_has_no_owner if {
	sharing := object.union(shipped, {"volume_owner_share": true})
	held == set() with data.settings as sharing with input as boot(lease(12))
	codes == set() with data.settings as sharing with input as boot({"status": "invalid"})
}

test_the_own_lease if {
	ours := object.union(lease(12), {"id": "ours"})
	held == set() with data.settings as shipped with input as boot(ours)
	volume_owner.recheck == set() with data.settings as shipped with input as situation("apply", {}, ours)
}

# After "docker restart" the directory of the watch is empty.
test_the_own_lease_from_before_a_restart if {
	before := object.union(lease(301), {"host": "gateway-2", "ttl_seconds": 3600})
	slow := object.union(shipped, {"volume_owner_ttl_seconds": 3600})
	held == set() with data.settings as slow with input as boot(before)
	held == {"coder", "writer"} with data.settings as slow with input as boot(object.union(before, {"host": "gateway-1"}))
}

test_our_name_on_another_machine if {
	held == {"coder", "writer"} with data.settings as shipped with input as boot(object.union(lease(5), {"host": "gateway-2"}))
}

# A planted lease of a year counts for three times the setting.
test_the_ttl_of_a_lease_is_bounded if {
	year := {"ttl_seconds": 31536000}
	until == {"2026-11-22T06:00:02Z"} with data.settings as shipped with input as boot(object.union(lease(88), year))
	held == set() with data.settings as shipped with input as boot(object.union(lease(90), year))
}

test_a_lease_without_a_ttl_has_that_of_the_settings if {
	every ttl in [{}, {"ttl_seconds": 0}, {"ttl_seconds": -5}] {
		held == set() with data.settings as shipped with input as boot(object.union(object.remove(lease(31), ["ttl_seconds"]), ttl))
		held == {"coder", "writer"} with data.settings as shipped with input as boot(object.union(object.remove(lease(29), ["ttl_seconds"]), ttl))
	}
}

test_a_clock_that_is_ahead if {
	held == {"coder", "writer"} with data.settings as shipped with input as boot(lease(-30))
	held == set() with data.settings as shipped with input as boot(lease(-31))
	codes == {"lease_unusable"} with data.settings as shipped with input as boot(lease(-31))
}

test_a_lease_that_makes_no_sense_is_shown if {
	every broken in [{"status": "invalid"}, {"status": "unreadable"}, {"status": "recorded", "host": "gateway-1"}] {
		held == set() with data.settings as shipped with input as boot(broken)
		codes == {"lease_unusable"} with data.settings as shipped with input as boot(broken)
	}
}

test_no_lease_is_nothing_to_say if {
	held == set() with data.settings as shipped with input as boot({"status": "missing"})
	codes == set() with data.settings as shipped with input as boot({"status": "missing"})
	volume_owner.recheck == set() with data.settings as shipped with input as situation("apply", {}, {"status": "missing"})
}

# Ten minutes behind or ahead: a lease that is renewed is fresh.
test_a_renewal_counts_more_than_the_clocks if {
	every skew in [600, -600] {
		since_the_last_look := object.union(seen(skew + 10, 25), {"renewed": false})
		held == {"coder", "writer"} with data.settings as shipped with input as situation("apply", since_the_last_look, lease(skew))
		until == {"2026-11-22T06:00:20Z"} with data.settings as shipped with input as situation("apply", since_the_last_look, lease(skew))
		before := object.union(seen(skew, 15), {"renewed": true})
		until == {"2026-11-22T06:00:05Z"} with data.settings as shipped with input as situation("apply", before, lease(skew))
		codes == set() with data.settings as shipped with input as situation("apply", before, lease(skew))
	}
}

test_nobody_renews_it if {
	every renewed in [true, false] {
		every age in [600, 5, -20, -600] {
			left := object.union(seen(age, 20), {"renewed": renewed})
			held == set() with data.settings as shipped with input as situation("apply", left, lease(age))
			volume_owner.recheck == set() with data.settings as shipped with input as situation("apply", left, lease(age))
		}
	}
}

test_what_a_watch_saw_does_not_count_at_a_boot if {
	held == set() with data.settings as shipped with input as situation("boot", object.union(seen(600, 5), {"renewed": true}), lease(600))
	held == {"coder", "writer"} with data.settings as shipped with input as situation("boot", seen(5, 40), lease(5))
}

# The clock says stale. Whether that is true, a watch knows after a while.
test_a_watch_looks_again_at_a_stale_lease if {
	{member.after_seconds | some member in volume_owner.recheck} == {20} with data.settings as shipped with input as situation("apply", {}, lease(600))
	volume_owner.recheck == set() with data.settings as shipped with input as with_own("apply", {"status": "missing"}, lease(600))
}

test_a_lost_lease_has_a_grace if {
	just := {"held_unix": now - 200}
	held == set() with data.settings as shipped with input as situation("apply", just, lease(5))
	again == {"2026-11-22T06:00:30Z"} with data.settings as shipped with input as situation("apply", just, lease(5))
	lately := object.union(just, {"lost_unix": now - 20})
	held == set() with data.settings as shipped with input as situation("apply", lately, lease(5))
	again == {"2026-11-22T06:00:10Z"} with data.settings as shipped with input as situation("apply", lately, lease(5))
}

test_the_grace_ends if {
	long := {"held_unix": now - 200, "lost_unix": now - 30}
	held == {"coder", "writer"} with data.settings as shipped with input as situation("apply", long, lease(5))
	again == set() with data.settings as shipped with input as situation("apply", long, lease(5))
}

again := {member.at | some member in volume_owner.recheck}

test_no_grace_at_a_boot_or_from_an_earlier_start if {
	just := {"held_unix": now - 200}
	held == {"coder", "writer"} with data.settings as shipped with input as situation("boot", just, lease(5))
	held == {"coder", "writer"} with data.settings as shipped with input as situation("apply", {"held_unix": now - 301}, lease(5))
}
