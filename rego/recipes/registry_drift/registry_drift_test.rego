package reconcile.rules.registry_drift_test

import data.reconcile.rules.registry_drift

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"registry": [], "registry_plugin": "", "registry_hold": false})

home := {"profiles": {"default": {}, "coder": {}, "team-a": {}, "ghost": {}}}

held := {member.profile | some member in registry_drift.hold}

alarms := {[object.get(member, "profile", ""), member.code] | some member in registry_drift.alarm}

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as home
	alarms == set() with data.settings as shipped with input as home
	held == set() with data.settings as shipped with input as home with data.settings.registry_hold as true
}

test_drift_is_shown_in_both_directions if {
	alarms == {["ghost", "not_registered"], ["", "registered_missing"]} with data.settings as shipped with input as home
		with data.settings.registry as ["coder", "team-*", "writer"]
	held == set() with data.settings as shipped with input as home with data.settings.registry as ["coder", "team-*", "writer"]
}

test_what_is_not_registered_can_be_held if {
	held == {"ghost"} with data.settings as shipped with input as home with data.settings.registry as ["coder", "team-*"]
		with data.settings.registry_hold as true
}

test_the_missing_one_is_named if {
	members := registry_drift.alarm with data.settings as shipped with input as home with data.settings.registry as ["*", "writer"]
	{member.reason | some member in members} == {`settings.registry has "writer", and there is no such profile on the volume`}
}

test_a_plug_in_may_know_them if {
	alarms == {["ghost", "not_registered"], ["team-a", "not_registered"], ["", "registered_missing"]} with data.settings as shipped with input as home
		with input.container.external.values as {"register": {"profiles": ["coder", "writer"]}}
		with data.settings.registry_plugin as "register"
		with data.settings.registry as ["*"]
}

test_a_plug_in_without_a_list_is_no_opinion if {
	every values in [{}, {"register": {"profiles": "coder"}}, {"other": {"profiles": ["coder"]}}] {
		alarms == {["", "no_register"]} with data.settings as shipped with input as home with input.container.external.values as values
			with data.settings.registry_plugin as "register"
			with data.settings.registry_hold as true
		held == set() with data.settings as shipped with input as home with input.container.external.values as values
			with data.settings.registry_plugin as "register"
			with data.settings.registry_hold as true
	}
}
