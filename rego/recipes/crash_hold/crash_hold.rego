# METADATA
# scope: package
# title: Hold a gateway that keeps crashing
# description: |
#   A gateway that dies at every start floods its platform with connections until
#   the platform revokes the token. After several unclean exits within a window, the
#   rule holds the profile for a while: in the running container by the slot, and at
#   boot by what the gateways recorded. After that time `watch`, or else the next
#   boot or apply, may start it. An exit code that means "the configuration is wrong"
#   holds the profile until one of its files changes. The next gateway counts an
#   unclean exit when it starts; a gateway that was killed with the container counts
#   too. restart_table, and any rule of yours about restarts, replaces what the slot
#   does.
# custom:
#   evidence: ["#51228", "#89034", "#76435"]
#   contributes: [hold, restart]
#   codes: [crash_hold, fatal_config]
package reconcile.rules.crash_hold

hold contains {"profile": name, "code": "crash_hold", "until": until, "reason": reason} if {
	data.settings.crash_hold_exits > 0
	some name, profile in input.profiles
	exits := _past(profile)
	last := max(exits)
	recent := [t | some t in exits; t > last - data.settings.crash_hold_window_seconds]
	count(recent) >= data.settings.crash_hold_exits
	until := _time(last + data.settings.crash_hold_seconds)
	reason := sprintf(
		"%d unclean exits within %v s before %s (settings.crash_hold_exits is %v)",
		[count(recent), data.settings.crash_hold_window_seconds, _time(last), data.settings.crash_hold_exits],
	)
}

hold contains {"profile": name, "code": "fatal_config", "reason": reason} if {
	some name, profile in input.profiles
	profile.lifecycle.phase == "exited"
	code := sprintf("%v", [profile.lifecycle.exit_code])
	some fatal in data.settings.crash_hold_fatal_exit_codes
	sprintf("%v", [fatal]) == code
	not _changed_since(profile)
	reason := sprintf("its last gateway ended with %s, and %s have not changed since", [code, concat(", ", _files)])
}

# The slot counts the deaths of the running container.
restart contains object.union({"profile": name, "code": "crash_hold", "priority": -1, "reason": reason}, member) if {
	member := object.union_n([_budget, {"exit_codes": _never | count(_never) > 0}])
	count(member) > 0
	some name, _ in input.profiles
	codes := [sprintf("exit code %s: never", [code]) | some code, _ in _never]
	limits := [sprintf("%v deaths within %v s: hold for %v s", [limit.deaths, limit.window_seconds, _budget.hold_seconds]) | limit := _budget.budget]
	reason := concat("; ", array.concat(codes, limits))
}

_never := {code: "never" |
	some fatal in data.settings.crash_hold_fatal_exit_codes
	code := sprintf("%v", [fatal])
	regex.match(`^([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$`, code)
}

# Values that no slot can have set no budget.
_budget := {key: value |
	data.settings.crash_hold_exits in numbers.range(1, 4096)
	data.settings.crash_hold_window_seconds > 0
	data.settings.crash_hold_seconds > 0
	data.settings.crash_hold_seconds <= 31622400
	some key, value in {
		"budget": {"deaths": data.settings.crash_hold_exits, "window_seconds": data.settings.crash_hold_window_seconds},
		"on_exhaustion": "hold",
		"hold_seconds": data.settings.crash_hold_seconds,
	}
}

_files := [".env", "config.yaml", "auth.json"]

_changed_since(profile) if {
	some file in _files
	profile.markers.files[file].modified_unix > profile.lifecycle.exited_at_unix
}

# A time in the future, from a wrong clock or from the agent, would hold for ever.
_changed_since(profile) if profile.lifecycle.exited_at_unix > _now

_past(profile) := [t | some t in profile.unclean_exits.times_unix; t <= _now]

_now := floor(input.now.unix_ns / 1000000000)

_time(unix) := time.format([floor(unix) * 1000000000, "UTC", "RFC3339"])
