# METADATA
# scope: package
# title: Example facts for tests
# description: |
#   A test names only the facts that it is about; everything else is as in a home
#   where nothing is unusual: the profile coder was running and the root profile
#   was stopped, both exited cleanly, and no bot, port or job is set.
#
#   This file is written by `hermes-reconcile policy init`, which has the same
#   package built in; `policy test` uses this copy where it is there. No boot reads
#   it.
package reconcile.lib.example

# home({"coder": {"prior_state": {"desired": "stopped"}}}) is a whole input
# document with these profiles and no others. What is given lies over the example
# facts of a profile; {} is a profile that was running.
home(profiles) := object.union(
	object.remove(document, ["profiles"]),
	{"profiles": {name: profile(facts) | some name, facts in profiles}},
)

# situation is home in a container with other facts:
# situation({"command": {"role": "dashboard"}}, {"coder": {}}).
situation(container_facts, profiles) := object.union(home(profiles), {"container": container_facts})

# at is an input document at another time, in UTC: at(home({"coder": {}}),
# "2026-11-22T23:30:00Z").
at(situation_, time_) := object.union(situation_, {"now": {
	"unix_ns": ns,
	"rfc3339": time_,
	"weekday": time.weekday(ns),
	"minute": (hour * 60) + minute,
	"zone": "UTC",
}}) if {
	ns := time.parse_rfc3339_ns(time_)
	[hour, minute, _] := time.clock(ns)
}

# decided is an input document as the packages of reconcile.after see it:
# decided(home({"coder": {}}), {"coder": "start"}).
decided(situation_, actions) := object.union(situation_, {"decisions": {name: {"action": action, "code": "example"} |
	some name, action in actions
}})

# profile is the facts of one profile, container those of the container.
profile(facts) := object.union(document.profiles.coder, facts)

container(facts) := object.union(document.container, facts)
