# METADATA
# scope: package
# title: Compare the volume with a register of profiles
# description: |
#   Deleted profiles come back from a copy, and new profiles appear that were never
#   requested. Each directory that is not in the register raises an alarm and, with
#   registry_hold, a hold. Each registered name without a directory raises an alarm.
#   The register is a list in the settings, or the list that your own plug-in prints
#   as container.profiles (see external facts). If the plug-in gives no list, the
#   rule raises an alarm and holds nothing.
# custom:
#   evidence: ["#54174", "#69163", "#111720"]
#   contributes: [hold, alarm]
#   codes: [not_registered, registered_missing, no_register]
package reconcile.rules.registry_drift

hold contains {"profile": name, "code": "not_registered", "reason": reason} if {
	data.settings.registry_hold
	some name in _unregistered
	reason := sprintf("not in %s", [_source])
}

alarm contains {"profile": name, "code": "not_registered", "reason": reason} if {
	some name in _unregistered
	reason := sprintf("it is on the volume but not in %s", [_source])
}

alarm contains {"code": "registered_missing", "reason": reason} if {
	some name in _names
	not input.profiles[name]
	reason := sprintf("%s has %q, and there is no such profile on the volume", [_source, name])
}

alarm contains {"code": "no_register", "reason": reason} if {
	data.settings.registry_plugin != ""
	not _from_plugin
	reason := sprintf("the plug-in %s gives no list of profiles", [data.settings.registry_plugin])
}

default _register := []

_register := data.settings.registry if data.settings.registry_plugin == ""

_register := _from_plugin if data.settings.registry_plugin != ""

_from_plugin := list if {
	list := input.container.external.values[data.settings.registry_plugin].profiles
	is_array(list)
}

default _source := "settings.registry"

_source := sprintf("the register of the plug-in %s", [data.settings.registry_plugin]) if {
	data.settings.registry_plugin != ""
}

# The root profile always exists, so it is always registered.
_unregistered contains name if {
	count(_register) > 0
	some name, _ in input.profiles
	name != "default"
	not _registered(name)
}

_names := {entry | some entry in _register; not _is_pattern(entry)}

_patterns := {entry | some entry in _register; _is_pattern(entry)}

_is_pattern(entry) if regex.match(`[*?\[{]`, entry)

_registered(name) if _names[name]

_registered(name) if {
	some pattern in _patterns
	glob.match(pattern, null, name)
}
