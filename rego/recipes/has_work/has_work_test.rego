package reconcile.rules.has_work_test

import data.reconcile.rules.has_work

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"has_work": [], "has_work_platforms": ["telegram", "discord", "slack", "whatsapp", "signal", "matrix"]})

idle := {
	"tokens": {"status": "missing", "config_status": "missing", "env_link": false, "tokens": []},
	"platforms": {"status": "missing", "platforms": {}},
	"ports": {"status": "missing", "ports": []},
	"config": {"status": "missing", "platforms": {}, "enabled_jobs": 0, "jobs_status": "missing"},
}

home(coder) := {"profiles": {"coder": object.union(idle, coder)}}

held := {member.reason | some member in has_work.hold}

works(coder) if held == set() with data.settings as shipped with input as home(coder) with data.settings.has_work as ["bot", "port", "job"]

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as home({})
}

test_nothing_to_do if {
	held == {"it has no bot, no port, no job"} with data.settings as shipped with input as home({}) with data.settings.has_work as ["bot", "port", "job"]
}

test_each_kind_of_work if {
	works({"platforms": {"platforms": {"telegram": {"on": true}}}})
	works({"ports": {"ports": [{"platform": "webhook", "enabled": true}]}})
	works({"config": {"enabled_jobs": 1}})
}

test_what_is_no_work if {
	not works({"platforms": {"platforms": {"slack": {"on": false}, "api_server": {"on": true}}}})
	not works({"ports": {"ports": [{"platform": "webhook", "enabled": false}]}})
}

test_only_the_kinds_that_are_asked_for if {
	held == {"it has no bot"} with data.settings as shipped with input as home({"config": {"enabled_jobs": 1}}) with data.settings.has_work as ["bot"]
}

test_not_knowing_is_not_having_none if {
	works({"tokens": {"status": "timed_out"}})
	works({"tokens": {"status": "unreadable", "env_link": true}})
	works({"config": {"jobs_status": "invalid"}})
}

test_another_word_is_shown if {
	alarms := has_work.alarm with data.settings as shipped with input as home({}) with data.settings.has_work as ["bots"]
	{member.code | some member in alarms} == {"bad_setting"}
}

test_the_root_profile_works_for_all_where_multiplexing_is_on if {
	members := has_work.hold with data.settings as shipped with input as {"profiles": {"default": idle, "coder": idle}}
		with input.container.multiplex.on as true
		with data.settings.has_work as ["bot", "port", "job"]
	{member.profile | some member in members} == {"coder"}
}
