# METADATA
# scope: package
# title: One owner for each volume
# description: |
#   Two containers on one volume would run every gateway twice. The watch of a container
#   writes its lease to state/reconcile.owner.json and renews it. A container that finds the
#   fresh lease of another holds all profiles until the lease is stale. A container that has
#   lost its lease gives up its own gateways after settings.volume_owner_ttl_seconds. The
#   clocks of the containers may differ: once the watch has looked, only whether the lease
#   changes counts. The agent can write a lease too, and so keep gateways down.
package reconcile.rules.volume_owner

hold contains {"profile": name, "code": "volume_owned", "until": until, "reason": reason} if {
	owned
	not _grace
	until := _time(_stale_at)
	reason := sprintf("the volume belongs to the container %s (%s)", [_lease.host, _file])
	some name, _ in input.profiles
}

# The grace ends, or another container may turn out to be alive.
recheck contains {"code": "volume_owned", "at": _time(_lost_at + _ttl), "reason": "the lease of the volume was lost"} if {
	owned
	_grace
}

# The sooner a renewal is seen, the sooner its absence is.
recheck contains {"code": "volume_owned", "after_seconds": ceil(_bound / 4), "reason": reason} if {
	owned
	not _grace
	_own.id
	reason := "whether another container still renews the lease of the volume"
}

recheck contains {"code": "volume_owner", "after_seconds": _patience, "reason": reason} if {
	_another
	not _fresh
	not _left
	_own.id
	reason := "whether another container still renews the lease of the volume"
}

alarm contains {"code": "lease_unusable", "reason": reason} if {
	_another
	not _fresh
	_age < 0 - _bound
	reason := sprintf("%s is %d s in the future and is ignored", [_file, 0 - _age])
}

alarm contains {"code": "lease_unusable", "reason": reason} if {
	not data.settings.volume_owner_share
	_lease.status != "missing"
	not _complete
	reason := sprintf("%s is ignored (%s): want host and seen_at", [_file, _lease.status])
}

# The fresh lease of another container. Its runtime files are not swept either.
owned if {
	_another
	_fresh
}

_file := "state/reconcile.owner.json"

_lease := input.container.owner_lease

_host := input.container.host

# What the watch of this container remembers. At a boot no watch has looked yet.
_own := input.container.own_lease if input.phase == "apply"

_ttl := data.settings.volume_owner_ttl_seconds

# A lease that the agent writes does not count for a year.
_bound := min([_lease.ttl_seconds, 3 * _ttl]) if _lease.ttl_seconds > 0

else := _ttl

# The owner renews four times in its time, and a renewal is seen a quarter late at most. So
# whoever waits as long as this takes over within the time of the lease.
_patience := ceil((2 * _bound) / 3)

_now := floor(input.now.unix_ns / 1000000000)

_age := _now - _lease.seen_at_unix

_complete if {
	_lease.host
	_lease.seen_at_unix
}

_another if {
	not data.settings.volume_owner_share
	_complete
	not _ours
}

_ours if _lease.id == input.container.own_lease.id

# The lease of this container from before its restart. The start is known to two seconds.
_ours if {
	_lease.host == _host.hostname
	_lease.seen_at_unix <= _host.started_at_unix + 2
}

# The watch has seen this lease before.
_known if {
	_own.other_id == object.get(_lease, "id", "")
	_own.changed_unix
}

_renewed_since if {
	_known
	_own.other_seen_at_unix != _lease.seen_at_unix
}

# Nobody has renewed it for so long.
_left if {
	_known
	not _renewed_since
	_now - _own.changed_unix >= _patience
}

_fresh if _renewed_since

_fresh if {
	_known
	_own.renewed
	not _left
}

_fresh if {
	not _left
	_age < _bound
	_age >= 0 - _bound
}

# The clock of the other container counts only until the watch has seen a renewal.
_stale_at := _now + _patience if _renewed_since

_stale_at := _own.changed_unix + _patience if {
	_known
	_own.renewed
	not _renewed_since
}

_stale_at := min([_lease.seen_at_unix + _bound, _own.changed_unix + _patience]) if {
	_known
	not _own.renewed
	not _renewed_since
}

_stale_at := _lease.seen_at_unix + _bound if not _known

# This container had the lease, and has not been without it for long.
_grace if {
	_own.held_unix >= _host.started_at_unix
	_now - _lost_at < _ttl
}

_lost_at := _own.lost_unix if _own.lost_unix > 0

else := _now

_time(unix) := time.format([unix * 1000000000, "UTC", "RFC3339"])
