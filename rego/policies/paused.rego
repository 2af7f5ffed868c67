# METADATA
# scope: package
# title: Keep down what root has paused
# description: |
#   `pause` records in the state directory which profiles stay down, and which of
#   their gateways were up. No intent changes. After the pause, a gateway that was up
#   and has no recorded intent starts because it was up.
package reconcile.rules.paused

hold contains object.union({"profile": name, "code": "paused", "reason": pause.text}, object.filter(pause, ["until"])) if {
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

# The empty string is also an intent.
_has_intent(profile) if is_string(profile.prior_state.desired)
