# METADATA
# scope: package
# title: One process serves all profiles
# description: |
#   When multiplexing is on, the root profile's gateway serves the named profiles. A
#   second gateway for a named profile would compete for the same bots.
package reconcile.rules.multiplex

hold contains {"profile": name, "code": "multiplexed", "reason": reason} if {
	input.container.multiplex.on
	reason := sprintf("served by the root profile: multiplexing is on (%s)", [input.container.multiplex.source])
	some name, _ in input.profiles
	name != "default"
}
