# METADATA
# scope: package
# title: Give each API server a port of its own
# description: |
#   Profiles that leave API_SERVER_PORT unset all listen on 8642 or on the port of
#   the container's environment, and a copied profile shares the port of its original. The rule gives each such API server a
#   port in the environment of its slot. The port is derived from the name (9200 to
#   9799), so it is the same at every boot. If the derived port is in use, the
#   profile gets the next spare port. If several profiles name the same port, the
#   first one keeps it: excepted profiles come first, then the root profile, then
#   the others by name. An excepted profile always keeps its port. In upstream, a
#   port in .env may win over the environment: remove it from .env.
# custom:
#   evidence: ["#80310", "#88342"]
#   contributes: [env, alarm]
#   codes: [derived_port, no_spare_port]
package reconcile.rules.derived_ports

env contains {
	"profile": name, "name": "API_SERVER_PORT", "value": sprintf("%d", [port]),
	"code": "derived_port", "reason": reason,
} if {
	data.settings.derived_ports
	some name, port in _given
	port <= 65535
	reason := sprintf("%s: it gets port %d", [_without[name], port])
}

alarm contains {"profile": name, "code": "no_spare_port", "reason": reason} if {
	data.settings.derived_ports
	some name, port in _given
	port > 65535
	reason := sprintf("no spare port is left from %v up", [data.settings.derived_ports_spare_from])
}

# Every API server that would listen: [port, rank, profile, source].
_listeners := sort([[listener.port, _rank(name), name, listener.source] |
	some name, profile in input.profiles
	profile.name.valid
	some listener in profile.ports.ports
	listener.platform == "api_server"
	listener.enabled
])

_rank(name) := 0 if _is_excepted(name)

else := 1 if name == "default"

else := 2

_is_excepted(name) if name in _excepted

_excepted := {name | some name in data.settings.derived_ports_except}

# The ports that some profile keeps.
_kept := {listener[0] | some listener in _named}

_named := [listener | some listener in _listeners; _keeps(listener)]

_keeps(listener) if not _nobodys[listener[3]]

_keeps(listener) if _is_excepted(listener[2])

# Listeners other than API servers keep their ports.
_others := {listener.port |
	some profile in input.profiles
	some listener in profile.ports.ports
	listener.platform != "api_server"
	listener.enabled
}

# Why a profile needs a port.
_without := object.union(_unset, _copied)

_unset := {name: _nobodys[source] |
	some [_, _, name, source] in _listeners
	not _is_excepted(name)
}

# Ports that several profiles share because none of them names its own.
_nobodys := {"default": "API_SERVER_PORT is not set", "environment": "API_SERVER_PORT is set for the whole container"}

_copied := {name: reason |
	some i, [port, _, name, _] in _named
	_named[i - 1][0] == port
	not _is_excepted(name)
	reason := sprintf("port %d is also claimed by another profile", [port])
}

# Of the profiles with the same derived port, the first by name gets it, unless a
# file names that port.
_wishes := sort([[input.profiles[name].ports.derived, name] | some name, _ in _without])

_granted := {wish[1]: wish[0] |
	some i, wish in _wishes
	not _same_wish(i)
	not wish[0] in _taken
}

_same_wish(i) if _wishes[i - 1][0] == _wishes[i][0]

_taken := _kept | _others

_left := [name | some [_, name] in _wishes; not _granted[name]]

_spare := [port |
	some port in numbers.range(data.settings.derived_ports_spare_from, data.settings.derived_ports_spare_from + _enough)
	not port in _not_spare
]

_enough := count(_left) + count(_not_spare)

_not_spare := _taken | {port | some port in _granted}

_given := object.union(_granted, {name: _spare[i] | some i, name in _left})
