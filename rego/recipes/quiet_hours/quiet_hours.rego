# METADATA
# scope: package
# title: Start nothing in quiet hours
# description: |
#   A boot or apply between two times of day leaves the profiles down. The hold ends
#   by itself, but nothing starts at that moment: the next boot or apply starts
#   them. The times belong to a named time zone, so they follow its summer time. A
#   night that begins on Friday belongs to Friday.
# custom:
#   evidence: []
#   contributes: [hold, alarm]
#   codes: [quiet_hours, bad_setting]
package reconcile.rules.quiet_hours

hold contains {"profile": name, "code": "quiet_hours", "until": until, "reason": reason} if {
	_elapsed < _length
	_day_counts
	until := time.format([_end, data.settings.quiet_hours_zone, "RFC3339"])
	reason := sprintf(
		"quiet hours from %s to %s, %s",
		[data.settings.quiet_hours_from, data.settings.quiet_hours_to, data.settings.quiet_hours_zone],
	)
	some name in _sleepers
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	some key in ["quiet_hours_from", "quiet_hours_to"]
	value := data.settings[key]
	value != ""
	not _is_time(value)
	reason := sprintf(`settings.%s is %q, want a time such as "22:00"`, [key, value])
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	some day in data.settings.quiet_hours_days
	not day in ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
	reason := sprintf("settings.quiet_hours_days has %q, want a day such as Monday", [day])
}

_is_time(value) if regex.match(`^([01][0-9]|2[0-3]):[0-5][0-9]$`, value)

_minute(value) := (to_number(substring(value, 0, 2)) * 60) + to_number(substring(value, 3, 2)) if _is_time(value)

_from := _minute(data.settings.quiet_hours_from)

_to := _minute(data.settings.quiet_hours_to)

# Modulo a day: midnight may lie between.
_length := ((_to - _from) + 1440) % 1440

_elapsed := ((_minute_at(input.now.unix_ns) - _from) + 1440) % 1440

_minute_at(ns) := (hour * 60) + minute if [hour, minute, _] := time.clock([ns, data.settings.quiet_hours_zone])

_minute_ns := 60000000000

# The remaining minutes, plus the shift of a clock change.
_end := rough + (shift * _minute_ns) if {
	rough := (input.now.unix_ns - (input.now.unix_ns % _minute_ns)) + ((_length - _elapsed) * _minute_ns)
	shift := (((_to - _minute_at(rough)) + 2160) % 1440) - 720
}

_day_counts if count(data.settings.quiet_hours_days) == 0

_day_counts if {
	began := input.now.unix_ns - (_elapsed * _minute_ns)
	time.weekday([began, data.settings.quiet_hours_zone]) in data.settings.quiet_hours_days
}

# A name is looked up; only a pattern is tried on every profile.
_sleepers := {name | some name in data.settings.quiet_hours_profiles; input.profiles[name]} | {name |
	some pattern in data.settings.quiet_hours_profiles
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}
