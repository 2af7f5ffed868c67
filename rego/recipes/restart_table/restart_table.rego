# METADATA
# scope: package
# title: Decide what happens when a gateway ends
# description: |
#   For each exit code: leave the gateway down, start it again at once, or start it
#   again with growing pauses. A limit says how many deaths within a window are too
#   many. The finish script of the slot carries this out. The pauses are 1, 2, 4
#   seconds and so on, up to 300; a run of more than ten minutes resets them. The
#   limit counts only unintended deaths. At the limit, `hold` keeps the gateway down
#   until restart_table_hold_seconds are over, .env or config.yaml changes, or
#   `hermes-reconcile release` runs; the next boot or apply checks this. `slow` goes
#   on with a pause of window / deaths seconds. To give other profiles another
#   table, write a rule that contributes to restart; in a later directory it wins
#   over this one. Without settings, exit codes 0 and 78 stay down, as in upstream.
# custom:
#   evidence: ["#76435", "#18639", "#64433", "#89034"]
#   contributes: [restart, alarm]
#   codes: [restart_table, bad_setting]
package reconcile.rules.restart_table

restart contains object.union_n([{"profile": name, "code": "restart_table", "reason": _reason}, _table, _budget]) if {
	count(_table) + count(_budget) > 0
	some name in _profiles
}

# An invalid code is left out. As a member of restart it would make the rule fail, and
# a failed rule holds every profile.
alarm contains {"code": "bad_setting", "reason": reason} if {
	some key in ["restart_table_never", "restart_table_now", "restart_table_backoff"]
	some code in data.settings[key]
	not _is_exit_code(code)
	reason := sprintf("settings.%s has %q, want a number from 0 to 255", [key, _text(code)])
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	data.settings.restart_table_deaths != 0
	not _is_limit
	reason := sprintf(
		"settings.restart_table_* ask for %v deaths within %v s and then %q, want 1 to 4096, more than 0, hold or slow",
		[
			data.settings.restart_table_deaths,
			data.settings.restart_table_window_seconds,
			data.settings.restart_table_on_exhaustion,
		],
	)
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	not _is_duration
	reason := sprintf(
		"settings.restart_table_hold_seconds is %v, want 0 (no end by time) to %d",
		[data.settings.restart_table_hold_seconds, _longest_hold],
	)
}

# A code may also be a number, without quotes.
_text(code) := sprintf("%v", [code])

_is_exit_code(code) if regex.match(`^([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$`, _text(code))

_is_limit if {
	data.settings.restart_table_deaths in numbers.range(1, 4096)
	data.settings.restart_table_window_seconds > 0
	data.settings.restart_table_on_exhaustion in ["hold", "slow"]
}

_is_duration if {
	is_number(data.settings.restart_table_hold_seconds)
	data.settings.restart_table_hold_seconds >= 0
	data.settings.restart_table_hold_seconds <= _longest_hold
}

# 366 days: a rule may not ask for more.
_longest_hold := 31622400

_reason := concat("; ", array.concat(_answers, _limits))

_answers := [sprintf("exit code %s: %s", [code, answer]) | some code, answer in object.get(_table, "exit_codes", {})]

_limits := [text |
	limit := _budget.budget
	text := sprintf("%v deaths within %v s: %s%s", [limit.deaths, limit.window_seconds, _budget.on_exhaustion, _how_long])
]

_how_long := sprintf(" for %v s", [_hold.hold_seconds])

_how_long := "" if count(_hold) == 0

default _table := {}

_table := {"exit_codes": answers} if {
	answers := object.union_n([
		{_text(code): "now" | some code in data.settings.restart_table_now; _is_exit_code(code)},
		{_text(code): "backoff" | some code in data.settings.restart_table_backoff; _is_exit_code(code)},
		{_text(code): "never" | some code in data.settings.restart_table_never; _is_exit_code(code)},
	])
	count(answers) > 0
}

default _budget := {}

_budget := object.union({"budget": limit, "on_exhaustion": data.settings.restart_table_on_exhaustion}, _hold) if {
	_is_limit
	limit := {
		"deaths": data.settings.restart_table_deaths,
		"window_seconds": data.settings.restart_table_window_seconds,
	}
}

default _hold := {}

_hold := {"hold_seconds": data.settings.restart_table_hold_seconds} if {
	data.settings.restart_table_on_exhaustion == "hold"
	_is_duration
	data.settings.restart_table_hold_seconds > 0
}

# A name is looked up; only a pattern is tried on every profile.
_profiles := {name | some name in data.settings.restart_table_profiles; input.profiles[name]} | {name |
	some pattern in data.settings.restart_table_profiles
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}
