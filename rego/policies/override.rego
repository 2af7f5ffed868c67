# METADATA
# scope: package
# title: Waive the holds that an operator set aside
# description: |
#   `start --override` and `release` record in the state directory which holds they
#   set aside. The record ends when the hold ends, or when the container starts
#   again.
package reconcile.rules.override

waive contains {"rule": entry.rule, "profile": name, "code": "override", "reason": reason} if {
	some name, entries in input.container.overrides.profiles
	input.profiles[name]
	some entry in entries
	entry.active
	reason := sprintf("an operator set its hold%s aside%s", [_code(entry), _when(entry)])
}

# The rule may hold again, with a later end.
recheck contains {"profile": name, "code": "override", "at": entry.until, "reason": reason} if {
	some name, entries in input.container.overrides.profiles
	input.profiles[name]
	some entry in entries
	entry.active
	regex.match(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$`, entry.until)
	reason := sprintf("the override of %s ends", [entry.rule])
}

_code(entry) := sprintf(" (%s)", [entry.code])

_code(entry) := "" if not entry.code

_when(entry) := sprintf(" at %s", [time.format([entry.at_unix * 1000000000, "UTC", "RFC3339"])]) if _is_time(entry.at_unix)

_when(entry) := "" if not _is_time(entry.at_unix)

# The range that the time builtins accept.
_is_time(unix) if {
	unix > 0
	unix < 9000000000
}
