# METADATA
# scope: package
# title: Start what was serving in a transient state
# description: |
#   A gateway drains or degrades only while it serves, so these states count as
#   running. They are states of the gateway and never a recorded intent.
package reconcile.rules.transient_state

start contains {"profile": name, "code": "transient_state", "reason": reason} if {
	states := data.settings.transient_states
	some name, profile in input.profiles
	state := profile.prior_state.gateway
	state in states
	not _has_intent(profile)
	reason := sprintf("gateway state was %s, which counts as running", [state])
}

_has_intent(profile) if is_string(profile.prior_state.desired)
