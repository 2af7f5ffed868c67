# METADATA
# scope: package
# title: Start nothing in quiet hours
# description: |
#   Between two times of day the profiles are down. `watch` stops them when the quiet
#   hours begin, and starts them when they end. Without `watch`, nothing happens at
#   these moments: the next boot or apply looks at the clock. The times belong to a
#   named time zone, so they follow its summer time. A time that a clock change leaves
#   out comes as much later as the clock jumps; of a time that comes twice the first
#   counts. A night that begins on Friday belongs to Friday.
# custom:
#   evidence: []
#   contributes: [hold, alarm, recheck]
#   codes: [quiet_hours, bad_setting]
package reconcile.rules.quiet_hours

hold contains {"profile": name, "code": "quiet_hours", "until": until, "reason": reason} if {
	some day in [-1, 0]
	_counts(day)
	_begin(day) <= input.now.unix_ns
	end := _moment(_shown(day) + (_length * _minute_ns))
	end > input.now.unix_ns
	until := time.format([end, data.settings.quiet_hours_zone, "RFC3339"])
	reason := sprintf(
		"quiet hours from %s to %s, %s",
		[data.settings.quiet_hours_from, data.settings.quiet_hours_to, data.settings.quiet_hours_zone],
	)
	some name in _sleepers
}

recheck contains {"code": "quiet_hours", "at": at, "reason": "the quiet hours begin"} if {
	count(_sleepers) > 0
	days := [day | some day in numbers.range(0, 8); _counts(day)]
	begins := [begin | some day in array.slice(days, 0, 2); begin := _begin(day); begin > input.now.unix_ns]
	at := time.format([begins[0], data.settings.quiet_hours_zone, "RFC3339"])
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

_minute_ns := 60000000000

# A night counts by the day on which it begins: 0 is today, -1 yesterday.
_counts(_) if {
	_length > 0
	count(data.settings.quiet_hours_days) == 0
}

_counts(day) if {
	_length > 0
	time.weekday(_shown(day)) in data.settings.quiet_hours_days
}

_begin(day) := _moment(_shown(day))

# What the clock of the zone shows at the begin, as if it were UTC.
_shown(day) := _midnight + (((day * 1440) + _from) * _minute_ns)

_midnight := clock - (clock % (1440 * _minute_ns)) if clock := _clock(input.now.unix_ns)

_clock(ns) := time.parse_rfc3339_ns(time.format([ns, data.settings.quiet_hours_zone, "2006-01-02T15:04:05Z"]))

# When the clock of the zone shows a time: by its shift of the day before, or by that of
# the day after.
_moment(shown) := min(moments) if {
	moments := {moment | some moment in _guesses(shown); _clock(moment) == shown}
	count(moments) > 0
} else := _guesses(shown)[0]

_guesses(shown) := [guess |
	some day in [-1440, 1440]
	other := shown + (day * _minute_ns)
	guess := shown - (_clock(other) - other)
]

# A name is looked up; only a pattern is tried on every profile.
_sleepers := {name | some name in data.settings.quiet_hours_profiles; input.profiles[name]} | {name |
	some pattern in data.settings.quiet_hours_profiles
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}
