# METADATA
# scope: package
# title: Hold a gateway that keeps crashing
# description: |
#   A gateway that dies at every start floods its platform with connections until
#   the platform revokes the token. After several unclean exits within a window, the
#   rule holds the profile for a while. The first boot or apply after that time may
#   start it. An exit code that means "the configuration is wrong" holds the profile
#   until one of its files changes. The next gateway counts an unclean exit when it
#   starts; a gateway that was killed with the container counts too.
# custom:
#   evidence: ["#51228", "#89034", "#76435"]
#   contributes: [hold]
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
