# METADATA
# scope: package
# title: Keep down what root has paused
# description: |
#   `pause` records in the state directory which profiles stay down, and which of
#   their gateways were up. No intent changes. After the pause, a gateway that was up
#   and has no recorded intent starts because it was up.
package reconcile.rules.paused

hold contains object.union({"profile": name, "code": "paused", "reason": _reason(pause)}, _until(pause)) if {
	some name, _ in input.profiles
	pause := _pause(name)
	not pause.ended
}

start contains {"profile": name, "code": "was_up", "reason": "it was up before it was paused"} if {
	some name, pause in input.container.pauses.profiles
	pause.ended
	pause.up
	profile := input.profiles[name]
	not _has_intent(profile)
}

_pause(name) := input.container.pauses.profiles[name]

_pause(name) := input.container.pauses.others if not input.container.pauses.profiles[name]

_reason(pause) := sprintf("root paused it%s%s; the pause ends %sby resume", [
	concat("", [text | text := sprintf(" at %s", [time.format([pause.at_unix * 1000000000, "UTC", "RFC3339"])]); _is_time(pause.at_unix)]),
	concat("", [text | text := sprintf(" (%s)", [pause.reason])]),
	concat("", [text | text := sprintf("at %s or ", [_until(pause).until])]),
])

# An end that is no time is none.
_until(pause) := {"until": pause.until} if _ends(pause)

_until(pause) := {} if not _ends(pause)

_ends(pause) if regex.match(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$`, pause.until)

# The range that the time builtins accept.
_is_time(unix) if {
	unix > 0
	unix < 9000000000
}

# The empty string is also an intent.
_has_intent(profile) if is_string(profile.prior_state.desired)
