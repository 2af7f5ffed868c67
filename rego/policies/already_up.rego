# METADATA
# scope: package
# title: Keep running what is up on a running container
# description: |
#   On a running container, a gateway may report "starting" or report nothing yet.
#   `apply` does not stop such a gateway only because no other rule starts it. A
#   recorded intent decides alone, and a hold still wins.
package reconcile.rules.already_up

start contains {"profile": name, "code": "already_up", "reason": reason} if {
	input.phase == "apply"
	some name, profile in input.profiles
	not _has_intent(profile)
	input.container.s6.slots[concat("", ["gateway-", name])].wanted_up
	reason := sprintf("its slot is up, and its state (%s) records no intent", [_state(profile)])
}

# The empty string is also an intent.
_has_intent(profile) if is_string(profile.prior_state.desired)

_state(profile) := profile.prior_state.gateway

_state(profile) := profile.prior_state.status if not profile.prior_state.gateway
