# METADATA
# scope: package
# title: Sweep the runtime files of dead gateways
# description: |
#   After a restart, gateway.pid and processes.json name processes that are gone.
#   The facts offer a file only while no process holds the gateway's lock, so the
#   files of a gateway that runs elsewhere stay. The files of a slot that is up stay
#   too: its gateway may be about to take the lock. On a volume that belongs to another
#   container, all files stay.
package reconcile.rules.stale_runtime_files

import data.reconcile.rules.volume_owner

sweep contains {"profile": name, "file": file, "reason": "left over from a gateway that is gone"} if {
	files := data.settings.sweep_files
	some name, profile in input.profiles
	some file, found in profile.runtime_files.files
	found.sweepable
	file in files
	not input.container.s6.slots[concat("", ["gateway-", name])].up
	not volume_owner.owned
}

# "token_locks" stands for the locks of all tokens.
sweep contains {"profile": name, "file": file, "reason": "a token lock of a gateway that is gone"} if {
	"token_locks" in data.settings.sweep_files
	some name, profile in input.profiles
	some file, found in profile.runtime_files.files
	found.scope
	found.sweepable
	not input.container.s6.slots[concat("", ["gateway-", name])].up
	not volume_owner.owned
}
