# METADATA
# scope: package
# title: Decide what happens when a gateway ends
# description: |
#   For each way to end (an exit code, a signal such as SIGKILL, oom, or * for all
#   others): leave the gateway down, start it again at once, start it again with
#   growing pauses, or start it again and do not count the death. A limit says how
#   many deaths within a window are too many. The finish script of the slot carries
#   this out. The pauses are 1, 2, 4 seconds and so on, up to 300. A run of more than
#   ten minutes, or of restart_table_reset_after_seconds, begins them anew. The limit
#   counts only unintended deaths. At the limit, `hold` keeps the gateway down until
#   restart_table_hold_seconds are over, .env or config.yaml changes, or
#   `hermes-reconcile release` runs; the next boot or apply checks this. `slow` goes
#   on with pauses that begin with window / deaths seconds and grow up to 300.
#   restart_table_exceptions has other values for single profiles. A rule of yours
#   that contributes to restart with a priority above 1 wins over both. Without
#   settings, exit codes 0 and 78 stay down, as in upstream.
# custom:
#   evidence: ["#76435", "#18639", "#64433", "#89034"]
#   contributes: [restart, alarm]
#   codes: [restart_table, bad_setting]
package reconcile.rules.restart_table

restart contains object.union({"profile": name, "code": "restart_table"}, _general.member) if {
	count(_general.member) > 0
	some name in _profiles
}

restart contains object.union({"profile": name, "code": "restart_table", "priority": 1}, table.member) if {
	some name, table in _exceptions
	count(table.member) > 0
}

# A value that makes no sense is left out. In a member of restart it would make the rule
# fail, and a failed rule holds every profile.
alarm contains {"code": "bad_setting", "reason": sprintf("settings.restart_table_%s", [wrong])} if some wrong in _general.wrong

alarm contains {"code": "bad_setting", "reason": sprintf("settings.restart_table_exceptions: %s: %s", [name, wrong])} if {
	some name, table in _exceptions
	some wrong in table.wrong
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	some name, values in data.settings.restart_table_exceptions
	not is_object(values)
	reason := sprintf("settings.restart_table_exceptions: %s is %v, want an object such as {deaths: 3}", [name, values])
}

# The settings, as an exception names them.
_values := {
	"never": data.settings.restart_table_never,
	"now": data.settings.restart_table_now,
	"backoff": data.settings.restart_table_backoff,
	"uncounted": data.settings.restart_table_uncounted,
	"count_term": data.settings.restart_table_count_term,
	"deaths": data.settings.restart_table_deaths,
	"window_seconds": data.settings.restart_table_window_seconds,
	"on_exhaustion": data.settings.restart_table_on_exhaustion,
	"hold_seconds": data.settings.restart_table_hold_seconds,
	"reset_after_seconds": data.settings.restart_table_reset_after_seconds,
}

_general := _table(_values)

# A profile that is not there has no exception.
_exceptions := {name: object.union(table, {"wrong": (table.wrong | unknown)}) |
	some name, values in data.settings.restart_table_exceptions
	is_object(values)
	input.profiles[name]
	table := _table(object.union(_values, values))
	unknown := {sprintf("has no key %q, have %s", [key, concat(", ", object.keys(_values))]) |
		some key in (object.keys(values) - object.keys(_values))
	}
}

# A table is the member of restart that values ask for, and what is wrong with them. The
# member of values that ask for nothing is empty.
_table(values) := {"wrong": _wrong(values), "member": member} if {
	answers := object.union_n([{_text(ending): answer |
		some ending in _list(values[answer])
		_is_ending(ending)
	} |
		some answer in ["uncounted", "now", "backoff", "never"] # the last wins
	])
	table := {"exit_codes": answers | count(answers) > 0}
	limit := {"deaths": values.deaths, "window_seconds": values.window_seconds}
	budget := {key: value |
		_is_limit(values)
		some key, value in {"budget": limit, "on_exhaustion": values.on_exhaustion}
	}
	hold := {"hold_seconds": values.hold_seconds |
		values.on_exhaustion == "hold"
		_is_limit(values)
		_is_duration(values.hold_seconds)
		values.hold_seconds > 0
	}
	reset := {"reset_after_seconds": values.reset_after_seconds |
		_is_duration(values.reset_after_seconds)
		values.reset_after_seconds > 0
	}
	term := {"count_term": true | values.count_term == true}
	parts := object.union_n([table, budget, hold, reset, term])
	member := {key: value |
		count(table) + count(budget) > 0
		some key, value in object.union(parts, {"reason": _reason(parts)})
	}
}

_reason(parts) := concat("; ", array.concat(answers, limits)) if {
	answers := [sprintf("%s%s: %s", [_kind(ending), ending, answer]) | some ending, answer in object.get(parts, "exit_codes", {})]
	limits := [text |
		limit := parts.budget
		how_long := concat("", [sprintf(" for %v s", [seconds]) | seconds := parts.hold_seconds])
		text := sprintf("%v deaths within %v s: %s%s", [limit.deaths, limit.window_seconds, parts.on_exhaustion, how_long])
	]
}

_kind(ending) := "exit code " if regex.match(`^[0-9]`, ending)

_kind(ending) := "" if not regex.match(`^[0-9]`, ending)

# What is wrong with values.
_wrong(values) := (endings | limits) | durations if {
	endings := {sprintf("%s has %q, want a number from 0 to 255, a signal such as SIGKILL, oom or *", [key, _text(ending)]) |
		some key in ["never", "now", "backoff", "uncounted"]
		some ending in _list(values[key])
		not _is_ending(ending)
	}
	limits := {text |
		values.deaths != 0
		not _is_limit(values)
		text := sprintf(
			"* ask for %v deaths within %v s and then %q, want 1 to 4096, more than 0, hold or slow",
			[values.deaths, values.window_seconds, values.on_exhaustion],
		)
	}
	durations := {sprintf("%s is %v, want 0 (none) to %d", [key, values[key], _longest]) |
		some key in ["hold_seconds", "reset_after_seconds"]
		not _is_duration(values[key])
	}
}

# One ending may stand without a list.
_list(value) := value if is_array(value)

_list(value) := [value] if not is_array(value)

# A code may also be a number, without quotes.
_text(ending) := sprintf("%v", [ending])

_is_ending(ending) if {
	regex.match(`^([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]|SIG(HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|XCPU|XFSZ|SYS)|oom|[*])$`, _text(ending))
}

_is_limit(values) if {
	values.deaths in numbers.range(1, 4096)
	values.window_seconds > 0
	values.on_exhaustion in ["hold", "slow"]
}

_is_duration(value) if {
	is_number(value)
	value >= 0
	value <= _longest
}

# 366 days: a rule may not ask for more.
_longest := 31622400

# A name is looked up; only a pattern is tried on every profile.
_profiles := {name | some name in data.settings.restart_table_profiles; input.profiles[name]} | {name |
	some pattern in data.settings.restart_table_profiles
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}
