# METADATA
# scope: package
# title: A container whose command is "gateway run"
# description: |
#   Before gateways were supervised, the container's command ran the gateway. Such
#   a container with no state yet starts its root profile under supervision, and
#   the state is written down so that a later stop is remembered.
package reconcile.rules.legacy_command

start contains {"profile": "default", "code": "legacy_command", "reason": _reason} if _applies

seed contains {
	"profile": "default",
	"state": "running",
	"migrated_from": "legacy-container-cmd",
	"code": "legacy_command",
	"reason": _reason,
} if {
	_applies
}

_reason := "the main command is gateway run, and there is no state yet"

_applies if {
	input.container.command.role == "gateway run"
	not input.container.command.no_supervise
	not input.container.environment.flags.HERMES_GATEWAY_NO_SUPERVISE
	input.profiles["default"].prior_state.status == "missing"
}
