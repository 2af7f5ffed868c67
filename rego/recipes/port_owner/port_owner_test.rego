package reconcile.after.port_owner_test

import data.reconcile.after.port_owner

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"port_owner": false, "port_owner_first": []})

listener(port, source) := {"platform": "api_server", "port": port, "source": source, "enabled": true}

home(listeners) := {
	"profiles": {name: {"ports": {"status": "recorded", "ports": [one]}} | some name, one in listeners},
	"decisions": {name: {"action": "start"} | some name, _ in listeners},
}

shared := home({
	"coder": listener(8642, "default"),
	"writer": listener(8642, ".env"),
	"kids": listener(9000, "config.yaml"),
})

held := {member.profile: member.reason | some member in port_owner.hold}

test_not_configured_is_no_opinion if {
	held == {} with data.settings as shipped with input as shared
}

test_who_names_the_port_owns_it if {
	held == {"coder": "its api_server port 8642 (no port is named) belongs to writer"} with data.settings as shipped with input as shared
		with data.settings.port_owner as true
}

test_the_root_profile_comes_before_it if {
	situation := home({"default": listener(8642, "default"), "writer": listener(8642, ".env")})
	object.keys(held) == {"writer"} with data.settings as shipped with input as situation with data.settings.port_owner as true
}

test_the_operator_orders if {
	situation := home({"default": listener(1, ".env"), "a": listener(1, ".env"), "b": listener(1, ".env")})
	object.keys(held) == {"default", "a"} with data.settings as shipped with input as situation with data.settings.port_owner as true
		with data.settings.port_owner_first as ["b", "a"]
	object.keys(held) == {"default", "a"} with data.settings as shipped with input as situation with data.settings.port_owner as true
		with data.settings.port_owner_first as ["b", "a", "b"]
}

test_who_is_down_does_not_claim if {
	held == {} with data.settings as shipped with input as shared with data.settings.port_owner as true
		with input.decisions.writer.action as "down"
}

test_a_listener_that_is_off_does_not_claim if {
	off := object.union(listener(8642, ".env"), {"enabled": false})
	held == {} with data.settings as shipped with input as home({"coder": listener(8642, "default"), "writer": off})
		with data.settings.port_owner as true
}

test_the_containers_environment_names_no_owner if {
	situation := home({"coder": listener(9001, "environment"), "writer": listener(9001, ".env")})
	held == {"coder": "its api_server port 9001 (the container's environment) belongs to writer"} with data.settings as shipped with input as situation
		with data.settings.port_owner as true
}

test_a_webhook_and_an_api_server_collide_too if {
	webhook := {"platform": "webhook", "port": 8642, "source": ".env", "enabled": true}
	held == {"coder": "its api_server port 8642 (no port is named) belongs to hook"} with data.settings as shipped with input as home({"coder": listener(8642, "default"), "hook": webhook})
		with data.settings.port_owner as true
}
