# METADATA
# scope: package
# title: Start the profile of the command "gateway run"
# description: |
#   Before gateways were supervised, the container's command ran the gateway. If
#   such a container has no state yet, the profile of the command starts under
#   supervision: that of -p, else the root profile. The rule records the state, so a
#   later stop is remembered.
package reconcile.rules.legacy_command

start contains {"profile": _profile, "code": "legacy_command", "reason": _reason} if _applies

seed contains {
	"profile": _profile,
	"state": "running",
	"migrated_from": "legacy-container-cmd",
	"code": "legacy_command",
	"reason": _reason,
} if {
	_applies
}

_reason := "the main command is gateway run, and there is no state yet"

_profile := object.get(input.container.command, "profile", "default")

_applies if {
	input.container.command.role == "gateway run"
	not input.container.command.no_supervise
	not input.container.environment.flags.HERMES_GATEWAY_NO_SUPERVISE
	input.profiles[_profile].prior_state.status == "missing"
}
