# METADATA
# scope: package
# title: Who runs alone, who is served by the root profile, who is off
# description: |
#   One word for each profile: standalone (a gateway of its own, also where
#   multiplexing is on), multiplex (served by the root profile's gateway), off. The
#   root profile starts where it serves somebody who wants to run. A profile that
#   wants to run and that nobody would serve is an alarm: that is how bots go silent
#   after an upgrade.
# custom:
#   evidence: ["#118320", "#119009", "#83377", "#108676"]
#   contributes: [hold, start, waive, alarm]
#   codes: [disabled, served_by, folded, standalone, no_owner, bad_setting]
package reconcile.rules.topology

hold contains {"profile": name, "code": "disabled", "reason": "off in settings.topology"} if {
	some name, "off" in _mode
}

hold contains {"profile": name, "code": "served_by", "reason": "served by default, says settings.topology"} if {
	some name, _ in _served
}

waive contains {"profile": name, "rule": "reconcile.rules.multiplex", "code": "standalone", "reason": reason} if {
	reason := "standalone in settings.topology"
	some name, "standalone" in _mode
	name != "default"
}

start contains {"profile": "default", "code": "folded", "reason": reason} if {
	input.container.multiplex.on
	count(_waiting) > 0
	input.profiles["default"]
	reason := sprintf("it serves %s, which should run", [_some(_waiting)])
}

alarm contains {"profile": name, "code": "no_owner", "reason": reason} if {
	some problem in _root_problems
	some name in _waiting
	reason := sprintf("it should run, default should serve it, and %s", [problem])
}

alarm contains {"profile": name, "code": "no_owner", "reason": reason} if {
	input.profiles["default"].prior_state.served_profiles
	served := {one | some one in input.profiles["default"].prior_state.served_profiles}
	some name in _waiting
	not served[name]
	reason := "it should run, default should serve it, and the last gateway of default did not"
}

alarm contains {"profile": name, "code": "no_owner", "reason": reason} if {
	input.container.multiplex.allowlist
	listed := {one | some one in input.container.multiplex.allowlist}
	some name in _waiting
	not listed[name]
	reason := "it should run, default should serve it, and gateway.multiplex_profile_allowlist leaves it out"
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	some pattern, mode in data.settings.topology
	not mode in ["standalone", "multiplex", "off"]
	reason := sprintf("settings.topology has %v for %q, want standalone, multiplex or off", [mode, pattern])
}

_root_problems contains "multiplexing is off" if not input.container.multiplex.on

_root_problems contains "default is off in settings.topology" if _mode["default"] == "off"

# Sorted: those who are served and want to run.
_waiting := sort([name | some name, profile in _served; _is_profile(profile); _wanted(profile)])

_is_profile(profile) if {
	profile.name.valid
	some marker in data.settings.profile_markers
	profile.markers.files[marker]
}

_served := {name: profile |
	some name, profile in input.profiles
	name != "default"
	_mode[name] == "multiplex"
}

# A name beats a pattern, and a long pattern beats a short one.
_mode := {name: mode |
	some name, _ in input.profiles
	mode := object.get(data.settings.topology, name, _by_pattern(name))
}

_by_pattern(name) := [mode | some [_, pattern, mode] in _patterns; glob.match(pattern, null, name)][0]

# "*" with nothing behind it ends the list, so that every profile has a word: the
# empty one is no opinion.
_patterns := array.concat(
	sort([[0 - count(pattern), pattern, mode] |
		some pattern, mode in data.settings.topology
		regex.match(`[*?\[{]`, pattern)
	]),
	[[0, "*", ""]],
)

_wanted(profile) if profile.prior_state.desired in data.settings.start_states

_wanted(profile) if {
	not _has_intent(profile)
	profile.prior_state.gateway in array.concat(data.settings.start_states, data.settings.transient_states)
}

# The empty string is an intent too.
_has_intent(profile) if is_string(profile.prior_state.desired)

_some(names) := concat(", ", names) if count(names) <= 3

_some(names) := sprintf("%s and %d more", [first, count(names) - 3]) if {
	count(names) > 3
	first := concat(", ", array.slice(names, 0, 3))
}
