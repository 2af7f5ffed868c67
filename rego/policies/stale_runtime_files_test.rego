package reconcile.rules.stale_runtime_files_test

import data.reconcile.rules.stale_runtime_files

home := {"profiles": {"coder": {"runtime_files": {"files": {
	"gateway.pid": {"status": "recorded", "sweepable": true},
	"processes.json": {"status": "recorded", "sweepable": true},
	".gateway-planned-stop.json": {"status": "recorded", "sweepable": true},
}}}}}

test_pid_file_and_process_list_are_swept if {
	swept := stale_runtime_files.sweep with input as home
	{[member.profile, member.file] | some member in swept} == {["coder", "gateway.pid"], ["coder", "processes.json"]}
}

test_what_a_live_gateway_owns_stays if {
	swept := stale_runtime_files.sweep with input as home
		with input.profiles.coder.runtime_files.files as {"gateway.pid": {"status": "recorded", "sweepable": false}}
	count(swept) == 0
}

test_the_files_are_the_operators if {
	swept := stale_runtime_files.sweep with input as home
		with data.settings.sweep_files as [".gateway-planned-stop.json"]
	{member.file | some member in swept} == {".gateway-planned-stop.json"}
}

test_nothing_of_a_slot_that_is_up_is_swept if {
	every up, swept in {true: 0, false: 2} {
		members := stale_runtime_files.sweep with input as home
			with input.container.s6.slots as {"gateway-coder": {"up": up}, "gateway-writer": {"up": true}}
		count(members) == swept
	}
}

test_token_locks_are_swept_together_and_only_on_request if {
	lock := ".local/state/hermes/gateway-locks/telegram-bot-token-0123456789abcdef.lock"
	files := {lock: {"status": "recorded", "sweepable": true, "scope": "telegram-bot-token"}, "gateway.pid": {"status": "recorded", "sweepable": true}}
	every listed, swept in {"token_locks": {lock}, "gateway.pid": {"gateway.pid"}} {
		members := stale_runtime_files.sweep with input as home
			with input.profiles.coder.runtime_files.files as files
			with data.settings.sweep_files as [listed]
		{member.file | some member in members} == swept
	}
	up := stale_runtime_files.sweep with input as home
		with input.profiles.coder.runtime_files.files as files
		with data.settings.sweep_files as ["token_locks"]
		with input.container.s6.slots as {"gateway-coder": {"up": true}}
	count(up) == 0
}
