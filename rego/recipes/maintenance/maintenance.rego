# METADATA
# scope: package
# title: Start nothing during maintenance
# description: |
#   During maintenance nothing starts, and every profile keeps its recorded intent.
#   After maintenance, `watch` starts what was running before; without `watch` the
#   next boot or apply does. A setting turns maintenance on, or a file that upstream
#   knows: ESTOP, .drain_request.json or fleet_restart_pending in the home.
# custom:
#   evidence: ["#81148", "#74359", "#115638"]
#   contributes: [hold, alarm]
#   codes: [maintenance, bad_setting]
package reconcile.rules.maintenance

hold contains object.union({"profile": name, "code": "maintenance", "reason": reason}, _end) if {
	some reason in _causes
	some name, _ in input.profiles
	not name in _excepted
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	some word in data.settings.maintenance_files
	not word in ["ESTOP", ".drain_request.json", "fleet_restart_pending"]
	reason := sprintf(
		"settings.maintenance_files has %q, want ESTOP, .drain_request.json or fleet_restart_pending",
		[word],
	)
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	data.settings.maintenance_until != ""
	not _is_time(data.settings.maintenance_until)
	reason := sprintf(
		"settings.maintenance_until is %q, want a time such as 2026-11-22T06:00:00Z; maintenance has no end",
		[data.settings.maintenance_until],
	)
}

_causes contains "settings.maintenance is true" if data.settings.maintenance

_causes contains sprintf("the file ESTOP exists: %s", [reason]) if {
	_watched("ESTOP")
	input.container.sentinels.estop.present
	reason := object.get(input.container.sentinels.estop, "reason", "it gives no reason")
}

_causes contains "the file .drain_request.json exists" if {
	_watched(".drain_request.json")
	input.container.sentinels.drain_request
}

_causes contains "the file fleet_restart_pending exists" if {
	_watched("fleet_restart_pending")
	input.container.sentinels.fleet_restart_pending
}

_watched(file) if file in data.settings.maintenance_files

# A name is looked up; only a pattern is tried on every profile.
_excepted := {name | some name in data.settings.maintenance_except; input.profiles[name]} | {name |
	some pattern in data.settings.maintenance_except
	regex.match(`[*?\[{]`, pattern)
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}

default _end := {}

_end := {"until": data.settings.maintenance_until} if _is_time(data.settings.maintenance_until)

_is_time(text) if regex.match(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$`, text)
