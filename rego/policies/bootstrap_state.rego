# METADATA
# scope: package
# title: Start the root profile of a blank volume
# description: |
#   HERMES_GATEWAY_BOOTSTRAP_STATE=running starts the root profile if it has no
#   state yet, and records the state. An explicit stop wins at later boots.
package reconcile.rules.bootstrap_state

start contains {"profile": "default", "code": "bootstrap_state", "reason": _reason} if _applies

seed contains {"profile": "default", "state": "running", "code": "bootstrap_state", "reason": _reason} if _applies

_reason := "HERMES_GATEWAY_BOOTSTRAP_STATE is running, and there is no state yet"

_applies if {
	trim(input.container.environment.vars.HERMES_GATEWAY_BOOTSTRAP_STATE, " \t\"'") == "running"
	input.profiles["default"].prior_state.status == "missing"
}
