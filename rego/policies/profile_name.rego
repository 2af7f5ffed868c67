# METADATA
# scope: package
# title: Names that cannot have a slot
# description: |
#   A name must fit a service directory, and profiles/default would share its slot
#   with the root profile. A link is no profile: it would lead the work elsewhere.
package reconcile.rules.profile_name

# An agent can make any number of names. An object of those that are refused, made once
# for both sets, would need four times as long for twice as many.
skip contains {"profile": name, "code": "bad_name", "reason": _why[profile.name.problem]} if {
	some name, profile in input.profiles
	not profile.name.valid
}

alarm contains {"profile": name, "code": "bad_name", "reason": _why[profile.name.problem]} if {
	some name, profile in input.profiles
	not profile.name.valid
}

_why := {
	"characters": "a profile name has only a-z, 0-9, _ and -, and starts with a letter or digit",
	"too_long": "a profile name has at most 242 bytes",
	"reserved": "profiles/default would collide with the root profile",
	"link": "profiles are directories, and this is a link",
	"not_a_directory": "profiles are directories, and this is something else",
}
