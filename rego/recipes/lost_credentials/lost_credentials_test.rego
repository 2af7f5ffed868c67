package reconcile.rules.lost_credentials_test

import data.reconcile.rules.lost_credentials

# The shipped settings, whatever the operator has set.
shipped := object.union(data.settings, {"lost_credentials_platforms": []})

profile(tokens) := {
	"tokens": object.union({"status": "recorded", "config_status": "recorded", "env_link": false, "tokens": []}, tokens),
	"config": {"platforms": {"telegram": {"enabled": true}}},
	"prior_state": {"status": "recorded", "desired": "running"},
}

home(coder) := {"profiles": {"coder": coder}}

held := {member.reason | some member in lost_credentials.hold}

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as home(profile({"status": "missing"}))
	held == set() with data.settings as shipped with input as home(profile({"status": "unreadable"}))
}

test_a_platform_without_a_token if {
	reason := "it uses telegram (config.yaml) and has no telegram token; its .env is missing"
	held == {reason} with data.settings as shipped with input as home(profile({"status": "missing"}))
		with data.settings.lost_credentials_platforms as ["telegram", "slack"]
}

test_a_token_is_enough if {
	every known, reasons in {true: 0, false: 1} {
		owner := object.union(profile({}), {"platforms": {"platforms": {"telegram": {"on": true, "credentials": known}}}})
		found := held with data.settings as shipped with input as home(owner) with data.settings.lost_credentials_platforms as ["telegram"]
		count(found) == reasons
	}
}

test_a_platform_without_tokens_loses_none if {
	served := object.union(profile({}), {"config": {"platforms": {"whatsapp": {"enabled": true}}}})
	held == set() with data.settings as shipped with input as home(served) with data.settings.lost_credentials_platforms as ["whatsapp"]
}

test_what_the_last_gateway_used_counts if {
	served := object.union(profile({}), {
		"config": {"platforms": {"telegram": {}}},
		"prior_state": {"platforms": {"telegram": {"state": "connected"}}},
	})

	reasons := held with data.settings as shipped with input as home(served)
		with input.profiles.coder.config.platforms as {}
		with data.settings.lost_credentials_platforms as ["telegram"]
	reasons == {"it uses telegram (the state of its last gateway) and has no telegram token; its .env is recorded"}
	served_others := held with data.settings as shipped with input as home(served)
		with input.profiles.coder.config.platforms as {}
		with input.container.multiplex.on as true
		with data.settings.lost_credentials_platforms as ["telegram"]
	served_others == set()
	off := held with data.settings as shipped with input as home(served)
		with input.profiles.coder.config.platforms as {"telegram": {"enabled": false}}
		with data.settings.lost_credentials_platforms as ["telegram"]
	off == set()
}

test_an_env_that_cannot_be_read if {
	held == {"its .env cannot be read: permission denied"} with data.settings as shipped with input as home(profile({"status": "unreadable", "error": "permission denied"}))
		with data.settings.lost_credentials_platforms as ["telegram"]
}

test_not_knowing_is_not_losing if {
	every tokens in [{"status": "timed_out"}, {"status": "unreadable", "env_link": true, "error": "a link"}, {"config_status": "invalid"}] {
		held == set() with data.settings as shipped with input as home(profile(tokens)) with data.settings.lost_credentials_platforms as ["telegram"]
	}
}
