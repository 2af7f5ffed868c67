# METADATA
# scope: package
# title: Leave down what cannot work
# description: |
#   A gateway that ends with one of settings.fatal_exit_codes says that its
#   configuration cannot work: a port in use, a token that another gateway holds.
#   `apply` does not start it again until .env or config.yaml changes, or an
#   operator starts it.
package reconcile.rules.fatal_exit

hold contains {"profile": name, "code": "fatal_exit", "reason": reason} if {
	input.phase == "apply"
	some name, profile in input.profiles
	slot := input.container.s6.slots[concat("", ["gateway-", name])]
	not slot.up
	not slot.wanted_up
	slot.exit_code in data.settings.fatal_exit_codes
	not _changed_since(profile, slot)
	not _wanted_since(profile, slot)
	reason := sprintf(
		"it ended with exit code %v at %s; start it, or change .env or config.yaml",
		[slot.exit_code, time.format([slot.since_unix * 1000000000, "UTC", "RFC3339"])],
	)
}

_changed_since(profile, slot) if profile.config.changed_unix > slot.since_unix

# By the time of a clock that was ahead nothing has changed since, for ever.
_changed_since(_, slot) if slot.since_unix > floor(input.now.unix_ns / 1000000000)

_wanted_since(profile, slot) if {
	profile.prior_state.desired in data.settings.start_states
	profile.prior_state.updated_at_unix > slot.since_unix
}
