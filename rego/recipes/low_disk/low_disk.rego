# METADATA
# scope: package
# title: Start nothing on a full disk
# description: |
#   A gateway that cannot write corrupts its database, and every profile on the
#   volume fails with it. Below the limit only the excepted profiles start. Unknown
#   free space raises an alarm and holds nothing.
# custom:
#   evidence: ["#51228"]
#   contributes: [hold, alarm]
#   codes: [low_disk, disk_unknown]
package reconcile.rules.low_disk

hold contains {"profile": name, "code": "low_disk", "reason": reason} if {
	some reason in _causes
	some name, _ in input.profiles
	not name in _excepted
}

alarm contains {"code": "disk_unknown", "reason": reason} if {
	_limited
	input.container.disk.status != "recorded"
	reason := sprintf("the free space of the volume is unknown: %s", [input.container.disk.status])
}

_causes contains reason if {
	free := floor(input.container.disk.home_free_bytes / 1000000)
	free < data.settings.low_disk_mb
	reason := sprintf(
		"%d MB are free on the volume, and settings.low_disk_mb asks for %v",
		[free, data.settings.low_disk_mb],
	)
}

_causes contains reason if {
	free := input.container.disk.home_free_percent
	free < data.settings.low_disk_percent
	reason := sprintf(
		"%v %% of the volume are free, and settings.low_disk_percent asks for %v",
		[floor(free), data.settings.low_disk_percent],
	)
}

_limited if data.settings.low_disk_mb > 0

_limited if data.settings.low_disk_percent > 0

# A name is looked up; only a pattern is tried on every profile.
_excepted := {name | some name in data.settings.low_disk_except; input.profiles[name]} | {name |
	some pattern in data.settings.low_disk_except
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}
