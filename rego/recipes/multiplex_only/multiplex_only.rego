# METADATA
# scope: package
# title: One gateway for all profiles, with exceptions
# description: |
#   The rule of upstream since September 2026: a named profile has its own gateway
#   only if its config.yaml sets gateway.standalone: true. The root profile starts
#   if it or a profile that it serves should run. This rule cannot see whether the
#   root gateway serves the other profiles. Turn multiplexing on as well; without
#   it, an alarm reports the profiles that nothing serves.
# custom:
#   evidence: ["#118273", "#118433", "#119009", "#119880"]
#   contributes: [hold, start, waive, alarm]
#   codes: [multiplexed, folded_into_root, standalone, not_multiplexing]
package reconcile.rules.multiplex_only

hold contains {"profile": name, "code": "multiplexed", "reason": reason} if {
	data.settings.multiplex_only
	some name, profile in input.profiles
	name != "default"
	not profile.config.standalone
	reason := "served by the root profile: its config.yaml does not set gateway.standalone: true"
}

waive contains {"profile": name, "rule": "reconcile.rules.multiplex", "code": "standalone", "reason": reason} if {
	data.settings.multiplex_only
	some name, profile in input.profiles
	name != "default"
	profile.config.standalone
	reason := "its config.yaml sets gateway.standalone: true"
}

start contains {"profile": "default", "code": "folded_into_root", "reason": reason} if {
	data.settings.multiplex_only
	count(_folded) > 0
	reason := sprintf("it serves %s, which should run", [_some(_folded)])
}

alarm contains {"code": "not_multiplexing", "reason": reason} if {
	data.settings.multiplex_only
	count(_folded) > 0
	not input.container.multiplex.on
	reason := sprintf("%s should run, served by the root profile, but multiplexing is off", [_some(_folded)])
}

# The profiles that should run and have no gateway of their own, sorted.
_folded := sort([name |
	some name, profile in input.profiles
	name != "default"
	not profile.config.standalone
	_is_profile(profile)
	_wanted(profile)
])

_is_profile(profile) if {
	profile.name.valid
	some marker in data.settings.profile_markers
	profile.markers.files[marker]
}

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
