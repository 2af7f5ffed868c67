# METADATA
# scope: package
# title: One container for each volume
# description: |
#   Two containers on one volume run every gateway twice and remove each other's
#   files. The lease on the volume is state/reconcile.owner.json with host, boot_id
#   and seen_at. If another container renewed the lease recently, this container
#   supervises nothing: no slot, no sweep. A lease in the future is ignored. The
#   fleet manager writes the lease; hermes-reconcile only reads it. The agent can
#   also write a lease, and so keep every profile down. A container whose host name
#   changes at every start (docker run without --hostname) waits until its own old
#   lease is stale.
# custom:
#   evidence: ["#34457", "#95275", "#64846", "#73796"]
#   contributes: [skip, alarm]
#   codes: [volume_owned_by, lease_unusable]
package reconcile.rules.volume_owner

skip contains {"code": "volume_owned_by", "reason": reason} if {
	_age < data.settings.volume_owner_stale_seconds
	_age > 0 - data.settings.volume_owner_stale_seconds
	_another
	reason := sprintf(
		"the volume belongs to %s, seen %d s ago (settings.volume_owner_stale_seconds is %v)",
		[_lease.host, _age, data.settings.volume_owner_stale_seconds],
	)
}

alarm contains {"code": "lease_unusable", "reason": reason} if {
	data.settings.volume_owner_stale_seconds > 0
	_age <= 0 - data.settings.volume_owner_stale_seconds
	reason := sprintf("state/reconcile.owner.json is %d s in the future and is ignored", [0 - _age])
}

alarm contains {"code": "lease_unusable", "reason": reason} if {
	data.settings.volume_owner_stale_seconds > 0
	_lease.status != "missing"
	not _complete
	reason := sprintf("state/reconcile.owner.json is ignored (%s): want host, boot_id and seen_at", [_lease.status])
}

_lease := input.container.owner_lease

_host := input.container.host

_age := floor(input.now.unix_ns / 1000000000) - _lease.seen_at_unix

_another if _lease.host != _host.hostname

# The same host name on another kernel is our own lease from before a reboot, unless
# it was renewed after this container started.
_another if {
	_lease.boot_id != _host.boot_id
	_lease.seen_at_unix > _host.started_at_unix
}

_complete if {
	_lease.host
	_lease.seen_at_unix
}
