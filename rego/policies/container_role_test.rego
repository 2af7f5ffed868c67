package reconcile.rules.container_role_test

import data.reconcile.rules.container_role

skips(command) := {member.code |
	some member in container_role.skip with input as {"container": {"command": command}}
}

test_roles_that_supervise_nothing if {
	every role in ["dashboard", "serve", "gui", "desktop"] {
		skips({"role": role, "no_supervise": false}) == {"role"}
	}
}

test_other_roles_supervise if {
	every role in ["gateway run", "chat", "sleep", "other", "none"] {
		skips({"role": role, "no_supervise": false}) == set()
	}
}

test_a_gateway_without_supervision_skips_nothing if {
	skips({"role": "gateway run", "no_supervise": true}) == set()
}

test_the_roles_are_the_operators if {
	members := container_role.skip with input as {"container": {"command": {"role": "dashboard"}}}
		with data.settings.no_supervise_roles as []
	count(members) == 0
}
