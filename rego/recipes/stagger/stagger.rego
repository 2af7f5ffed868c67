# METADATA
# scope: package
# title: Start gateways one after the other
# description: |
#   Thirty gateways that start at once use all memory and hit the limits of their
#   platforms. The gateways wait in line. Each slot waits by itself, so the boot
#   does not wait, and a slot that is restarted does not wait again. The longest
#   wait is an hour; the gateways after that start together.
# custom:
#   order: 100 # after the packages that hold a gateway, so that the line has no gaps
#   evidence: ["#60269", "#31485"]
#   contributes: [delay]
#   codes: [stagger]
package reconcile.after.stagger

delay contains {"profile": name, "code": "stagger", "seconds": seconds, "reason": reason} if {
	data.settings.stagger_seconds > 0
	some position, [_, name] in _queue
	step := floor(position / max([1, data.settings.stagger_at_once]))
	step > 0
	seconds := min([step * data.settings.stagger_seconds, 3600])
	reason := sprintf("number %d of %d to start", [position + 1, count(_queue)])
}

_queue := sort([[_rank(name), name] |
	some name, decision in input.decisions
	decision.action == "start"
])

_rank(name) := min(array.concat(
	[position | some [position, pattern] in _patterns; glob.match(pattern, null, name)],
	[object.get(_named, name, count(data.settings.stagger_order))],
))

# A name is looked up; only a pattern is tried on every profile.
_patterns := [[position, pattern] |
	some position, pattern in data.settings.stagger_order
	regex.match(`[*?\[{]`, pattern)
]

# A repeated name counts at its first place.
_named := {place[0]: place[1] |
	some i, place in _places
	not _same_name(i)
}

_same_name(i) if _places[i - 1][0] == _places[i][0]

_places := sort([[name, position] | some position, name in data.settings.stagger_order])
