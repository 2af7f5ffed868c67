# METADATA
# scope: package
# title: Decide about a state file that cannot be used
# description: |
#   A full disk can tear gateway_state.json, or the file can belong to the wrong
#   user. The built-in rules then find no intent and leave the profile down, without
#   a hold. Some operators want such a profile up. Others want it down, even if it
#   is pinned, until an operator has looked. With start, an agent that was stopped
#   can come back by breaking its own state file.
# custom:
#   evidence: ["#33597", "#42675"]
#   contributes: [start, hold, alarm]
#   codes: [state_unreadable, bad_setting]
package reconcile.rules.state_unreadable

start contains {"profile": name, "code": "state_unreadable", "reason": reason} if {
	data.settings.state_unreadable == "start"
	some name, status in _broken
	reason := sprintf("its state file is %s, and settings.state_unreadable is start", [status])
}

hold contains {"profile": name, "code": "state_unreadable", "reason": reason} if {
	data.settings.state_unreadable == "hold"
	some name, status in _broken
	reason := sprintf("its state file is %s: repair or remove gateway_state.json", [status])
}

alarm contains {"profile": name, "code": "state_unreadable", "reason": reason} if {
	data.settings.state_unreadable in ["start", "hold"]
	some name, status in _broken
	reason := sprintf("its state file is %s", [status])
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	not data.settings.state_unreadable in ["", "start", "hold"]
	reason := sprintf(`settings.state_unreadable is %q, want start, hold or ""`, [data.settings.state_unreadable])
}

_broken := {name: profile.prior_state.status |
	some name, profile in input.profiles
	profile.prior_state.status in data.settings.state_unreadable_statuses
}
