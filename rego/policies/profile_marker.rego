# METADATA
# scope: package
# title: Skip directories that are not profiles
# description: |
#   A directory below profiles/ is a profile if it holds a profile marker. The root
#   profile needs no marker.
package reconcile.rules.profile_marker

skip contains {"profile": name, "code": "not_a_profile", "reason": reason} if {
	reason := sprintf("no profile marker (%s)", [concat(", ", data.settings.profile_markers)])
	some name, profile in input.profiles
	name != "default"
	profile.name.valid
	profile.markers.status == "recorded"
	not _marked(profile)
}

_marked(profile) if {
	some marker in data.settings.profile_markers
	profile.markers.files[marker]
}
