# METADATA
# scope: package
# title: One owner for each port
# description: |
#   Two gateways on one port stop each other in turn. Of the profiles that would
#   start on the same port, one goes up: first the profiles of
#   settings.port_owner_first in their order, then the root profile, then a profile
#   that names the port in a file, then a profile that uses the port of the
#   container's environment or the default port. Among equals the first by name wins. To run all of them, use the recipe derived_ports.
# custom:
#   evidence: ["#80310", "#88342"]
#   contributes: [hold]
#   codes: [port_owned_by]
package reconcile.after.port_owner

hold contains {"profile": profile, "code": "port_owned_by", "reason": reason} if {
	data.settings.port_owner
	some [port, _, profile, platform, source] in _claims
	owner := _first[port]
	owner != profile
	reason := sprintf("its %s port %d (%s) belongs to %s", [platform, port, source, owner])
}

_first := {claim[0]: claim[2] |
	some i, claim in _claims
	not _same_port(i)
}

_same_port(i) if _claims[i - 1][0] == _claims[i][0]

_claims := sort([[listener.port, _rank(name, listener.source), name, listener.platform, source] |
	some name, decision in input.decisions
	decision.action == "start"
	some listener in input.profiles[name].ports.ports
	listener.enabled
	source := object.get(_words, listener.source, listener.source)
])

_words := {"default": "no port is named", "environment": "the container's environment"}

_rank(name, source) := _order[name] if _order[name]

else := count(_order) if name == "default"

else := count(_order) + 1 if not _words[source]

else := count(_order) + 2

# A repeated name counts at its first place.
_order := {place[0]: place[1] |
	some i, place in _places
	not _same_name(i)
}

_same_name(i) if _places[i - 1][0] == _places[i][0]

_places := sort([[name, position] | some position, name in data.settings.port_owner_first])
