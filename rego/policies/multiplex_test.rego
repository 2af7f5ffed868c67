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

unreadable := {
	"container": {"multiplex": {"on": false, "status": "unreadable", "error": "a link, or not a regular file"}},
	"profiles": {"default": {}, "coder": {}},
}

test_a_config_that_cannot_be_read_is_an_alarm if {
	alarms := multiplex.alarm with input as unreadable
	reason := "whether multiplexing is on is not known: config.yaml of the root profile is unreadable: a link, or not a regular file"
	{member.reason | some member in alarms} == {reason}
	none := multiplex.hold with input as unreadable with data.settings.hold_unknown_multiplex as false
	count(none) == 0
	held := multiplex.hold with input as unreadable with data.settings.hold_unknown_multiplex as true
	{member.profile | some member in held} == {"coder"}
}

test_nothing_without_multiplexing if {
	held := multiplex.hold with input as home with input.container.multiplex.on as false
	count(held) == 0
}
