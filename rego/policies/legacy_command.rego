# METADATA
# scope: package
# title: Start or hold the profile of the command "gateway run"
# description: |
#   Before gateways were supervised, the container's command ran the gateway. If
#   such a container has no state yet, the profile of the command starts under
#   supervision: that of -p, else the root profile. The rule records the state, so a
#   later stop is remembered. With --no-supervise the command still runs the gateway,
#   so the rule holds the profile: its slot would start a second gateway.
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

hold contains {"profile": _profile, "code": "no_supervise", "reason": reason} if {
	input.container.command.role == "gateway run"
	input.profiles[_profile]
	some option in _unsupervised
	reason := sprintf("the main command runs this gateway itself: %s", [option])
}

_reason := "the main command is gateway run, and there is no state yet"

_profile := object.get(input.container.command, "profile", "default")

_applies if {
	input.container.command.role == "gateway run"
	count(_unsupervised) == 0
	input.profiles[_profile].prior_state.status == "missing"
}

_unsupervised contains "--no-supervise" if input.container.command.no_supervise

_unsupervised contains "HERMES_GATEWAY_NO_SUPERVISE is on" if input.container.environment.flags.HERMES_GATEWAY_NO_SUPERVISE
