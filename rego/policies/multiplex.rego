# METADATA
# scope: package
# title: One process serves all profiles
# description: |
#   When multiplexing is on, the root profile's gateway serves the named profiles. A
#   second gateway for a named profile would compete for the same bots. If the root
#   profile's config.yaml cannot be read, for example because it is a link, nobody
#   knows whether multiplexing is on: that is an alarm, and with
#   settings.hold_unknown_multiplex a hold of the named profiles.
package reconcile.rules.multiplex

hold contains {"profile": name, "code": "multiplexed", "reason": reason} if {
	input.container.multiplex.on
	reason := sprintf("served by the root profile: multiplexing is on (%s)", [input.container.multiplex.source])
	some name, _ in input.profiles
	name != "default"
}

hold contains {"profile": name, "code": "multiplex_unknown", "reason": _unknown} if {
	data.settings.hold_unknown_multiplex
	some name, _ in input.profiles
	name != "default"
}

alarm contains {"code": "multiplex_unknown", "reason": _unknown} if {
	some name, _ in input.profiles
	name != "default"
}

_unknown := reason if {
	multiplex := input.container.multiplex
	multiplex.status in ["unreadable", "invalid"]
	reason := sprintf(
		"whether multiplexing is on is not known: config.yaml of the root profile is %s: %s",
		[multiplex.status, object.get(multiplex, "error", "no reason given")],
	)
}
