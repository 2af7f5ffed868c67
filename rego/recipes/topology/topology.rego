# METADATA
# scope: package
# title: Give each profile its own gateway, the root gateway or none
# description: |
#   One word for each profile: standalone (its own gateway, even when multiplexing
#   is on), multiplex (served by the root profile's gateway) or off. The root
#   profile starts if it serves a profile that should run. A profile that should run
#   and that no gateway would serve raises an alarm: after an upgrade, such a bot
#   would be silent.
# custom:
#   evidence: ["#118320", "#119009", "#83377", "#108676"]
#   contributes: [hold, start, waive, alarm]
#   codes: [disabled, served_by, folded, standalone, no_owner, bad_setting]
package reconcile.rules.topology

hold contains {"profile": name, "code": "disabled", "reason": "off in settings.topology"} if {
	some name, "off" in _mode
}

hold contains {"profile": name, "code": "served_by", "reason": "served by the root profile (settings.topology)"} if {
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
	reason := sprintf("it should run, served by the root profile, but %s", [problem])
}

alarm contains {"profile": name, "code": "no_owner", "reason": reason} if {
	input.profiles["default"].prior_state.served_profiles
	served := {one | some one in input.profiles["default"].prior_state.served_profiles}
	some name in _waiting
	not served[name]
	reason := "it should run, served by the root profile, but the last root gateway did not serve it"
}

alarm contains {"profile": name, "code": "no_owner", "reason": reason} if {
	input.container.multiplex.allowlist
	listed := {one | some one in input.container.multiplex.allowlist}
	some name in _waiting
	not listed[name]
	reason := "it should run, served by the root profile, but gateway.multiplex_profile_allowlist leaves it out"
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	some pattern, mode in data.settings.topology
	not mode in ["standalone", "multiplex", "off"]
	reason := sprintf("settings.topology has %v for %q, want standalone, multiplex or off", [mode, pattern])
}

_root_problems contains "multiplexing is off" if not input.container.multiplex.on

_root_problems contains "default is off in settings.topology" if _mode["default"] == "off"

# The served profiles that should run, sorted.
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

# A name wins over a pattern, and a long pattern over a short one.
_mode := {name: mode |
	some name, _ in input.profiles
	mode := object.get(data.settings.topology, name, _by_pattern(name))
}

_by_pattern(name) := [mode | some [_, pattern, mode] in _patterns; glob.match(pattern, null, name)][0]

# "*" with the empty word ends the list, so every profile has a word. The empty word
# contributes nothing.
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

# The empty string is also an intent.
_has_intent(profile) if is_string(profile.prior_state.desired)

_some(names) := concat(", ", names) if count(names) <= 3

_some(names) := sprintf("%s and %d more", [first, count(names) - 3]) if {
	count(names) > 3
	first := concat(", ", array.slice(names, 0, 3))
}
