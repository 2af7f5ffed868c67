# METADATA
# scope: package
# title: Always start these
# description: |
#   For profiles that start at every boot, even after an operator's stop or a start
#   that failed. A hold of any other rule still wins.
# custom:
#   evidence: ["#32412"]
#   contributes: [start, alarm]
#   codes: [pinned, pin_unknown_name]
package reconcile.rules.pin_up

start contains {"profile": name, "code": "pinned", "reason": reason} if {
	some [pattern, name] in _pinned
	reason := sprintf("pinned by %q in settings.pin_up", [pattern])
}

alarm contains {"code": "pin_unknown_name", "reason": reason} if {
	some name in data.settings.pin_up
	not regex.match(`[*?\[{]`, name)
	not input.profiles[name]
	reason := sprintf("settings.pin_up has %q, and there is no such profile", [name])
}

# A name is looked up; only a pattern is tried on every profile.
_pinned contains [name, name] if {
	some name in data.settings.pin_up
	input.profiles[name]
}

_pinned contains [pattern, name] if {
	some pattern in data.settings.pin_up
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}
