package reconcile.rules.profile_marker_test

import data.reconcile.rules.profile_marker

skipped(profiles) := {member.profile |
	some member in profile_marker.skip with input as {"profiles": profiles}
}

profile(files) := {"name": {"valid": true}, "markers": {"status": "recorded", "files": files}}

test_a_directory_without_a_marker_is_no_profile if {
	skipped({"old": profile({"cron/jobs.json": {"kind": "file"}})}) == {"old"}
}

test_soul_makes_a_profile if {
	skipped({"coder": profile({"SOUL.md": {"kind": "file"}})}) == set()
}

# `profile create` seeds only SOUL.md, so config.yaml alone proves nothing.
test_config_alone_does_not if {
	skipped({"half": profile({"config.yaml": {"kind": "file"}})}) == {"half"}
}

test_the_root_profile_needs_none if {
	skipped({"default": profile({})}) == set()
}

# An unknown marker differs from a missing marker.
test_an_unreadable_directory_is_not_taken_for_empty if {
	skipped({"coder": {"name": {"valid": true}, "markers": {"status": "timed_out"}}}) == set()
}

test_the_markers_are_the_operators if {
	members := profile_marker.skip with input as {"profiles": {"half": profile({"config.yaml": {"kind": "file"}})}}
		with data.settings.profile_markers as ["SOUL.md", "config.yaml"]
	count(members) == 0
}
