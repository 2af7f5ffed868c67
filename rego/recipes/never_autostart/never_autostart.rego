# METADATA
# scope: package
# title: Never start these automatically
# description: |
#   For scratch profiles, workers that are started by hand, and copies for a test.
#   Such a profile keeps its slot, and no boot or apply starts it, whatever its
#   state. A gateway that was started by hand keeps running. A file in the directory
#   of a profile can also mark it. The agent can create that file, but with it the
#   agent can only keep its own profile down.
# custom:
#   evidence: ["#45963", "#74359", "studio#473"]
#   contributes: [hold]
#   codes: [never_autostart]
package reconcile.rules.never_autostart

hold contains {"profile": name, "code": "never_autostart", "reason": reason} if {
	some [pattern, name] in _named
	not _runs(name)
	reason := sprintf("its name matches %q in settings.never_autostart", [pattern])
}

hold contains {"profile": name, "code": "never_autostart", "reason": reason} if {
	some file in data.settings.never_autostart_files
	some name, profile in input.profiles
	profile.operator_files.files[file]
	not _runs(name)
	reason := sprintf("its directory holds %s, which settings.never_autostart_files names", [file])
}

# A name is looked up; only a pattern is tried on every profile.
_named contains [name, name] if {
	some name in data.settings.never_autostart
	input.profiles[name]
}

_named contains [pattern, name] if {
	some pattern in data.settings.never_autostart
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}

# At boot no slot exists yet.
_runs(name) if input.container.s6.slots[sprintf("gateway-%s", [name])].up
