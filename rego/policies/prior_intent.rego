# METADATA
# scope: package
# title: Start what was running
# description: |
#   desired_state is the operator's intent. If it exists, it decides alone. Any
#   other state waits, so a gateway that was broken at the last boot does not
#   crash-loop.
package reconcile.rules.prior_intent

start contains {"profile": name, "code": "prior_intent", "reason": sprintf("desired state was %s", [state])} if {
	some name, profile in input.profiles
	state := profile.prior_state.desired
	state in data.settings.start_states
}

start contains {"profile": name, "code": "prior_state", "reason": sprintf("gateway state was %s", [state])} if {
	some name, profile in input.profiles
	not _has_intent(profile)
	state := profile.prior_state.gateway
	state in data.settings.start_states
}

# The empty string is also an intent.
_has_intent(profile) if is_string(profile.prior_state.desired)
