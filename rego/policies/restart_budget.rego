# METADATA
# scope: package
# title: Keep down a gateway that used up its restarts
# description: |
#   When a gateway dies too often, its slot writes a record to the volume. The
#   record holds the profile, also at later boots, until its time ends, .env or
#   config.yaml changes, or an operator releases the profile.
package reconcile.rules.restart_budget

hold contains object.union({"profile": name, "code": "budget_exhausted", "reason": _reason(record)}, _until(record)) if {
	some name, profile in input.profiles
	record := profile.restart_hold
	record.status == "recorded"
	record.ended == ""
}

_reason(record) := sprintf("%v deaths%s, the last %s; the hold ends when .env or config.yaml changes, %sor by release", [
	record.deaths,
	_window(record),
	_last(record),
	concat("", [text | text := sprintf("at %s, ", [_until(record).until])]),
])

_window(record) := sprintf(" within %v s", [record.window_seconds])

_window(record) := "" if not record.window_seconds

_last(record) := sprintf("by signal %v", [record.signal])

_last(record) := sprintf("with exit code %v", [record.exit_code]) if {
	not record.signal
	record.exit_code != 256
}

_last(record) := "by a signal" if {
	not record.signal
	record.exit_code == 256
}

_last(record) := "in an unknown way" if {
	not record.signal
	not _has_exit_code(record)
}

# Exit code 0 is also an exit code.
_has_exit_code(record) if is_number(record.exit_code)

# A time beyond the range of the time builtins counts as no end.
_until(record) := {"until": time.format([record.until_unix * 1000000000, "UTC", "RFC3339"])} if _ends(record)

_until(record) := {} if not _ends(record)

_ends(record) if record.until_unix < 9000000000
