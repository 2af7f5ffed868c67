package reconcile.after.token_owner_test

import data.reconcile.after.token_owner

# The shipped settings, whatever the operator has set.
shipped := object.union(object.remove(data.settings, ["token_owners"]), {"token_owner_scopes": [], "token_owners": {}})

token(fingerprint, source) := {
	"scope": "telegram", "fingerprint": fingerprint,
	"source": source, "name": "TELEGRAM_BOT_TOKEN", "exclusive": true,
}

profile(tokens) := {"tokens": {"status": "recorded", "tokens": tokens}}

home(profiles) := {
	"profiles": profiles,
	"decisions": {name: {"action": "start"} | some name, _ in profiles},
}

shared := home({
	"writer": profile([token("aa", ".env")]),
	"coder": profile([token("aa", ".env")]),
	"kids": profile([token("bb", ".env")]),
})

held := {[member.profile, member.reason] | some member in token_owner.hold}

names := {member.profile | some member in token_owner.hold}

test_not_configured_is_no_opinion if {
	held == set() with data.settings as shipped with input as shared
}

test_the_first_by_name_owns_it if {
	reason := "its telegram token aa (TELEGRAM_BOT_TOKEN in .env) belongs to coder"
	held == {["writer", reason]} with data.settings as shipped with input as shared with data.settings.token_owner_scopes as ["telegram"]
}

test_only_the_scopes_that_are_listed if {
	names == set() with data.settings as shipped with input as shared with data.settings.token_owner_scopes as ["discord"]
}

test_a_named_owner if {
	names == {"coder"} with data.settings as shipped with input as shared with data.settings.token_owners as {"aa": "writer"}
}

test_a_named_owner_that_is_down_still_owns_it if {
	names == {"coder"} with data.settings as shipped with input as shared with data.settings.token_owners as {"aa": "writer"}
		with input.decisions.writer.action as "down"
}

test_an_owner_that_is_no_profile_is_shown if {
	alarms := token_owner.alarm with data.settings as shipped with input as shared with data.settings.token_owners as {"aa": "writr"}
	{member.reason | some member in alarms} == {`settings.token_owners gives aa to "writr", and there is no such profile`}
}

test_who_is_down_does_not_claim if {
	names == set() with data.settings as shipped with input as shared with data.settings.token_owner_scopes as ["telegram"]
		with input.decisions.coder.action as "down"
}

test_the_root_profile_comes_first_and_env_before_config if {
	situation := home({
		"default": profile([token("aa", "config.yaml")]),
		"coder": profile([token("aa", ".env"), token("bb", "config.yaml")]),
		"writer": profile([token("bb", ".env")]),
	})
	names == {"coder"} with data.settings as shipped with input as situation with data.settings.token_owner_scopes as ["telegram"]
	members := token_owner.hold with data.settings as shipped with input as situation with data.settings.token_owner_scopes as ["telegram"]
	count(members) == 2
}

test_the_containers_environment_is_inherited if {
	inherited := [token("aa", "environment")]
	situation := home({"default": profile(inherited), "coder": profile(inherited), "own": profile([token("bb", ".env")])})
	names == {"coder"} with data.settings as shipped with input as situation with data.settings.token_owner_scopes as ["telegram"]
}

test_a_shared_key_has_no_owner if {
	shared_key := object.union(token("aa", ".env"), {"scope": "api_server", "exclusive": false})
	situation := home({"coder": profile([shared_key]), "writer": profile([shared_key])})
	names == set() with data.settings as shipped with input as situation with data.settings.token_owner_scopes as ["api_server"]
}

test_the_root_profiles_own_token if {
	situation := home({"default": profile([token("aa", ".env")]), "coder": profile([token("aa", ".env")])})
	names == {"coder"} with data.settings as shipped with input as situation with data.settings.token_owner_scopes as ["telegram"]
}

test_a_token_in_both_files_is_one_claim if {
	situation := home({"coder": profile([token("aa", ".env"), token("aa", "config.yaml")])})
	names == set() with data.settings as shipped with input as situation with data.settings.token_owner_scopes as ["telegram"]
}

test_unknown_tokens_claim_nothing if {
	situation := home({"coder": {"tokens": {"status": "timed_out"}}, "writer": profile([token("aa", ".env")])})
	names == set() with data.settings as shipped with input as situation with data.settings.token_owner_scopes as ["telegram"]
	alarms := token_owner.alarm with data.settings as shipped with input as situation with data.settings.token_owner_scopes as ["telegram"]
	reason := "it starts although its tokens are unknown (timed_out): no reason given"
	{[member.profile, member.reason] | some member in alarms} == {["coder", reason]}
}
