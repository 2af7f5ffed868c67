package reconcile.rules.flags_test

import data.reconcile.rules.flags

test_each_odd_switch_is_reported_once if {
	quotes := "GATEWAY_MULTIPLEX_PROFILES: the value has quotes in it"
	reported := flags.alarm with input as {"container": {"environment": {"warnings": [quotes]}, "multiplex": {"warnings": [quotes, "config.yaml: x"]}}}
	{member.reason | some member in reported} == {quotes, "config.yaml: x"}
}

test_good_switches_are_quiet if {
	reported := flags.alarm with input as {"container": {"environment": {"warnings": []}, "multiplex": {"warnings": []}}}
	count(reported) == 0
}
