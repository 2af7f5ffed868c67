package reconcile.rules.derived_ports_test

import data.reconcile.rules.derived_ports

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"derived_ports": false, "derived_ports_except": ["default"], "derived_ports_spare_from": 9800})

api(derived, port, source) := {
	"name": {"valid": true},
	"ports": {
		"status": "recorded", "derived": derived,
		"ports": [{"platform": "api_server", "port": port, "source": source, "enabled": true}],
	},
}

given(profiles) := given_except(profiles, ["default"])

given_except(profiles, except) := {member.profile: member.value |
	some member in derived_ports.env with data.settings as shipped with input as {"profiles": profiles}
		with data.settings.derived_ports as true
		with data.settings.derived_ports_except as except
}

test_not_configured_is_no_opinion if {
	members := derived_ports.env with data.settings as shipped with input as {"profiles": {"coder": api(9570, 8642, "default")}}
	members == set()
}

test_an_unset_port_becomes_the_derived_one if {
	given({"coder": api(9570, 8642, "default"), "writer": api(9300, 9001, ".env")}) == {"coder": "9570"}
}

test_of_two_copies_one_keeps_its_port if {
	given({"a": api(9201, 9001, ".env"), "b": api(9202, 9001, "config.yaml")}) == {"b": "9202"}
	given({"a": api(9201, 9001, ".env"), "default": api(9449, 9001, "config.yaml")}) == {"a": "9201"}
	given({"a": api(9201, 9001, ".env"), "b": api(9202, 9001, ".env"), "c": api(9203, 9001, ".env")}) == {"b": "9202", "c": "9203"}
}

test_equal_derived_ports_do_not_collide if {
	given({
		"a": api(9201, 8642, "default"), "b": api(9201, 8642, "default"), "c": api(9201, 8642, "default"),
		"named": api(9202, 9800, ".env"),
	}) == {"a": "9201", "b": "9801", "c": "9802"}
}

test_a_named_port_is_never_handed_out if {
	given({"a": api(9201, 8642, "default"), "b": api(9300, 9201, ".env")}) == {"a": "9800"}
}

test_nor_is_that_of_a_webhook if {
	hook := {"name": {"valid": true}, "ports": {"ports": [{"platform": "webhook", "port": 9201, "source": ".env", "enabled": true}]}}
	given({"a": api(9201, 8642, "default"), "hook": hook}) == {"a": "9800"}
}

test_who_does_not_listen_gets_none if {
	given({"coder": {"name": {"valid": true}, "ports": {"derived": 9570, "ports": []}}}) == {}
	given({"coder": {"name": {"valid": true}, "ports": {"status": "timed_out"}}}) == {}
}

test_no_two_profiles_share_a_port if {
	profiles := {sprintf("profile-%d", [i]): api(9200 + (i % 600), 8642, "default") | some i in numbers.range(1, 2000)}
	ports := given(profiles)
	count(ports) == 2000
	count({port | some port in ports}) == 2000
}

test_running_out_of_ports_is_shown if {
	profiles := {"a": api(9201, 8642, "default"), "b": api(9201, 8642, "default")}
	alarms := derived_ports.alarm with data.settings as shipped with input as {"profiles": profiles} with data.settings.derived_ports as true
		with data.settings.derived_ports_spare_from as 65536
	{member.profile | some member in alarms} == {"b"}
	some member in alarms
	member.code == "no_spare_port"
}

test_who_is_excepted_keeps_its_port if {
	unset := {"default": api(9449, 8642, "default"), "coder": api(9570, 8642, "default"), "bold": api(9201, 8642, ".env")}
	given(unset) == {"coder": "9570", "bold": "9201"}
	with_root := given_except(unset, [])
	with_root == {"default": "9449", "coder": "9570"}
}
