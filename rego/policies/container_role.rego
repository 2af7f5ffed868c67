# METADATA
# scope: package
# title: Supervise nothing in some containers
# description: |
#   A dashboard container on the same volume must not start a second copy of every
#   gateway, and must not remove the files of gateways that run elsewhere.
package reconcile.rules.container_role

skip contains {"code": "role", "reason": reason} if {
	role := input.container.command.role
	role in data.settings.no_supervise_roles
	reason := sprintf("the main command is %s, listed in settings.no_supervise_roles", [role])
}
