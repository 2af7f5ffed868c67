# METADATA
# scope: package
# title: What is up on a running container stays up
# description: |
#   On a running container a gateway may say "starting", or be slow to say
#   anything. It is not stopped for want of a rule that starts it. A recorded
#   intent counts alone, and a hold still wins.
package reconcile.rules.already_up

start contains {"profile": name, "code": "already_up", "reason": reason} if {
	input.phase == "apply"
	some name, profile in input.profiles
	not _has_intent(profile)
	input.container.s6.slots[concat("", ["gateway-", name])].wanted_up
	reason := sprintf("its slot is up, and its state (%s) records no intent", [_state(profile)])
}

# The empty string is an intent too.
_has_intent(profile) if is_string(profile.prior_state.desired)

_state(profile) := profile.prior_state.gateway

_state(profile) := profile.prior_state.status if not profile.prior_state.gateway
