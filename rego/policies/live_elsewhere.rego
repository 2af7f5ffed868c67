# METADATA
# scope: package
# title: Start no second gateway beside one that lives elsewhere
# description: |
#   At a boot nothing of this container runs yet. A gateway.lock that is held then
#   belongs to a gateway in another container on the same volume. A second gateway
#   would remove that lock, and the two would take each other's messages.
package reconcile.rules.live_elsewhere

hold contains {"profile": name, "code": "live_elsewhere", "reason": reason} if {
	input.phase == "boot"
	some name, profile in input.profiles
	profile.runtime_files.lock.status == "recorded"
	profile.runtime_files.lock.held
	not input.container.s6.slots[concat("", ["gateway-", name])].up
	reason := "a process outside this container holds its gateway.lock: its gateway runs elsewhere"
}
