# METADATA
# scope: package
# title: Quiet nights for some profiles
# description: |
#   An example. Change it or remove it; `hermes-reconcile policy check` tells
#   whether the result can be used, and `hermes-reconcile eval --policy .` what it
#   would decide.
package reconcile.rules.quiet_nights

# A rule adds members to sets; here to `hold`. A held profile stays down, whatever
# other rules say. A member names a profile and gives a reason, which is what
# `hermes-reconcile explain` shows. The code is a word for programs.
hold contains {
	"profile": name,
	"code": "quiet_nights",
	"reason": sprintf("quiet from %d to %d o'clock", [from, until]),
} if {
	# Settings stand on lines of their own first: where one is not set, the rule has
	# no opinion. Inside a comprehension, "not set" would silently be "nobody".
	from := data.settings.quiet_nights_from
	until := data.settings.quiet_nights_until
	hour := floor(input.now.minute / 60)
	_within(hour, from, until)

	# One member for every profile whose name matches one of the patterns.
	some name, _ in input.profiles
	some pattern in data.settings.quiet_nights_profiles
	glob.match(pattern, [], name)
}

# From 22 to 6 goes over midnight, from 1 to 5 does not.
_within(hour, from, until) if {
	from <= until
	hour >= from
	hour < until
}

_within(hour, from, until) if {
	from > until
	hour >= from
}

_within(hour, from, until) if {
	from > until
	hour < until
}
