# METADATA
# scope: package
# title: Start some of the profiles first
# description: |
#   After a change, a few profiles run before all do. A hash of the name chooses the
#   profiles, so the choice is the same at every boot and in every container. A
#   profile that may start at 10 percent may also start at 50. Another salt chooses
#   other profiles.
# custom:
#   evidence: []
#   contributes: [hold, alarm]
#   codes: [canary, bad_setting]
package reconcile.rules.canary

hold contains {"profile": name, "code": "canary", "reason": reason} if {
	data.settings.canary_percent < 100
	some name, _ in input.profiles
	not name in _always
	place := _place(name)
	place >= data.settings.canary_percent
	reason := sprintf("its place is %.1f of 100, and settings.canary_percent is %v", [place, data.settings.canary_percent])
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	not _is_percent
	reason := sprintf("settings.canary_percent is %v, want 0 to 100", [data.settings.canary_percent])
}

_is_percent if {
	data.settings.canary_percent >= 0
	data.settings.canary_percent <= 100
}

# 0 to less than 100: the first two bytes of the hash, scaled.
_place(name) := (((_byte[substring(hash, 0, 2)] * 256) + _byte[substring(hash, 2, 2)]) * 100) / 65536 if {
	hash := crypto.sha256(concat("/", [data.settings.canary_salt, name]))
}

_byte := {sprintf("%02x", [number]): number | some number in numbers.range(0, 255)}

# A name is looked up; only a pattern is tried on every profile.
_always := {name | some name in data.settings.canary_always; input.profiles[name]} | {name |
	some pattern in data.settings.canary_always
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}
