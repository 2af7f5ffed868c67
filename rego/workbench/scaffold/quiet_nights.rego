# METADATA
# scope: package
# title: Quiet nights for some profiles
# description: |
#   An example. Change it or remove it. `hermes-reconcile policy check .` reports
#   mistakes, and `hermes-reconcile eval --policy .` shows what the rules would
#   decide.
package reconcile.rules.quiet_nights

# A rule adds members to sets, here to `hold`. A held profile stays down, whatever
# other rules add. A member names a profile and gives a reason.
# `hermes-reconcile explain` shows the reason. Programs read the code.
hold contains {
	"profile": name,
	"code": "quiet_nights",
	"reason": sprintf("quiet from %d to %d o'clock", [from, until]),
} if {
	# Read settings on lines of their own first: if one is not set, the rule adds
	# nothing. Inside a comprehension, "not set" would silently mean an empty list.
	from := data.settings.quiet_nights_from
	until := data.settings.quiet_nights_until
	hour := floor(input.now.minute / 60)
	_within(hour, from, until)

	# One member for every profile whose name matches a pattern.
	some name, _ in input.profiles
	some pattern in data.settings.quiet_nights_profiles
	glob.match(pattern, [], name)
}

# A rule that depends on the time says when it wants to be asked again, here at the
# next full hour. `hermes-reconcile watch` asks the rules then.
recheck contains {"after_seconds": seconds, "reason": "a quiet night may begin or end"} if {
	count(data.settings.quiet_nights_profiles) > 0
	seconds := 3600 - (floor(input.now.unix_ns / 1000000000) % 3600)
}

# The range 22 to 6 crosses midnight; the range 1 to 5 does not.
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
