# METADATA
# scope: package
# title: Decide the first boot of a profile
# description: |
#   A profile that has never run has no state, and the built-in rules keep it down.
#   This rule starts such a profile once, or records it as stopped. From then on the
#   recorded state decides, so a later stop is remembered. An invalid state file
#   does not count as a first boot. settings.start_states and
#   settings.transient_states list the recorded states that start a gateway.
# custom:
#   evidence: ["#34339", "#37896", "#33597"]
#   contributes: [start, seed]
#   codes: [first_boot]
package reconcile.rules.first_boot

start contains {"profile": name, "code": "first_boot", "reason": reason} if some name, reason in _running

seed contains {"profile": name, "code": "first_boot", "state": "running", "reason": reason} if {
	some name, reason in _running
}

seed contains {"profile": name, "code": "first_boot", "state": "stopped", "reason": reason} if {
	some name, profile in input.profiles
	_is_new(profile)
	not _running[name]
	name in _stopped
	reason := "no state yet, and settings.first_boot_stopped names it"
}

_running := {name: "no state yet, and settings.first_boot_running names it" |
	some name, profile in input.profiles
	_is_new(profile)
	name in _started
}

_is_new(profile) if {
	profile.name.valid
	profile.prior_state.status == "missing"
}

# A name is looked up; only a pattern is tried on every profile.
_started := {name | some name in data.settings.first_boot_running; input.profiles[name]} | {name |
	some pattern in data.settings.first_boot_running
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}

_stopped := {name | some name in data.settings.first_boot_stopped; input.profiles[name]} | {name |
	some pattern in data.settings.first_boot_stopped
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}
