# METADATA
# scope: package
# title: Skip names that cannot have a slot
# description: |
#   A name must fit a service directory. profiles/default would share a slot with
#   the root profile. A link would lead outside the home.
package reconcile.rules.profile_name

# An agent can make any number of names. An object of the refused names, shared by both
# sets, would take four times as long for twice as many names.
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
	"link": "a profile is a directory, and this is a link",
	"not_a_directory": "a profile is a directory, and this is another kind of file",
}
