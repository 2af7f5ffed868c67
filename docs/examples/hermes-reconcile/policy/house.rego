# METADATA
# scope: package
# title: Scratch profiles never start by themselves
package reconcile.rules.house

hold contains {"profile": name, "code": "scratch", "reason": "scratch profiles never start by themselves"} if {
	some pattern in data.settings.scratch_profiles
	some name, _ in input.profiles
	glob.match(pattern, null, name)
}
