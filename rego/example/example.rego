# METADATA
# scope: package
# title: Example facts for tests
# description: |
#   A test names only the facts that matter to it. All other facts come from an
#   ordinary home: the profile coder was running, the root profile was stopped,
#   both exited cleanly, and no bot, port or job is set.
#
#   `hermes-reconcile policy init` writes this file. The program has the same
#   package built in; `policy test` uses this file instead if it exists. A boot
#   never reads it.
package reconcile.lib.example

# home({"coder": {"prior_state": {"desired": "stopped"}}}) is a whole input
# document with exactly these profiles. The given facts replace the example facts of
# the profile; {} is a profile that was running.
home(profiles) := object.union(
	object.remove(document, ["profiles"]),
	{"profiles": {name: profile(facts) | some name, facts in profiles}},
)

# situation is home in a container with the given facts:
# situation({"command": {"role": "dashboard"}}, {"coder": {}}).
situation(container_facts, profiles) := object.union(home(profiles), {"container": container_facts})

# at is the input document at another time, in UTC:
# at(home({"coder": {}}), "2026-11-22T23:30:00Z").
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

# profile returns the facts of a profile, and container the facts of the container:
# the example facts with the given facts in their place.
profile(facts) := object.union(document.profiles.coder, facts)

container(facts) := object.union(document.container, facts)
