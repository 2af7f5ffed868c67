package reconcile.rules.multiplex_test

import data.reconcile.rules.multiplex

home := {
	"container": {"multiplex": {"on": true, "source": "config"}},
	"profiles": {"default": {}, "coder": {}, "writer": {}},
}

test_named_profiles_are_held if {
	held := multiplex.hold with input as home
	{member.profile | some member in held} == {"coder", "writer"}
	every member in held {
		contains(member.reason, "config")
	}
}

test_nothing_without_multiplexing if {
	held := multiplex.hold with input as home with input.container.multiplex.on as false
	count(held) == 0
}
