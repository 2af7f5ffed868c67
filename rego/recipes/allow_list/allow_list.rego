# METADATA
# scope: package
# title: Start only the profiles on a list
# description: |
#   For a volume with many profiles, of which this container starts only a few. The
#   list is HERMES_RECONCILE_PROFILES (names or patterns, separated by commas) or,
#   if that variable is not set, settings.allow_list. A variable that is set and
#   empty allows no profile. The list starts nothing: it only lets other rules start
#   the profile.
# custom:
#   evidence: ["template#25", "template#44", "template#56", "#34480"]
#   contributes: [hold, alarm]
#   codes: [not_listed, list_unknown_name, list_cut]
package reconcile.rules.allow_list

hold contains {"profile": name, "code": "not_listed", "reason": reason} if {
	reason := sprintf("not on the list of %s", [_list.source])
	some name, _ in input.profiles
	not _listed(name)
}

alarm contains {"code": "list_unknown_name", "reason": reason} if {
	some name in _names
	not input.profiles[name]
	reason := sprintf("%s lists %q, and there is no such profile", [_list.source, name])
}

# The fact holds at most 1024 bytes of a variable, so the last name may be cut.
alarm contains {"code": "list_cut", "reason": reason} if {
	count(input.container.environment.vars.HERMES_RECONCILE_PROFILES) >= 1024
	reason := "HERMES_RECONCILE_PROFILES is longer than the 1024 bytes that are read: use settings.allow_list"
}

_list := {"source": "HERMES_RECONCILE_PROFILES", "entries": entries} if {
	value := input.container.environment.vars.HERMES_RECONCILE_PROFILES
	entries := [entry | some part in split(value, ","); entry := trim_space(part); entry != ""]
} else := {"source": "settings.allow_list", "entries": data.settings.allow_list}

_names := {entry | some entry in _list.entries; not _is_pattern(entry)}

_patterns := {entry | some entry in _list.entries; _is_pattern(entry)}

_is_pattern(entry) if regex.match(`[*?\[{]`, entry)

_listed(name) if _names[name]

_listed(name) if {
	some pattern in _patterns
	glob.match(pattern, null, name)
}
