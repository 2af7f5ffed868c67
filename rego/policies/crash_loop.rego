# METADATA
# scope: package
# title: Slow down a gateway that keeps dying
# description: |
#   Upstream starts a gateway again at once, without end, and a platform bans a bot
#   that connects too often. After settings.crash_loop_deaths deaths within
#   settings.crash_loop_window_seconds, the next starts wait longer and longer. Any
#   other rule about restarts has a higher priority and replaces this one.
package reconcile.rules.crash_loop

restart contains {
	"profile": name,
	"code": "crash_loop",
	"priority": -2,
	"reason": _reason,
	"budget": {"deaths": data.settings.crash_loop_deaths, "window_seconds": data.settings.crash_loop_window_seconds},
	"on_exhaustion": "slow",
} if {
	data.settings.crash_loop_deaths > 0
	some name, _ in input.profiles
}

_reason := sprintf("after %v deaths within %v s the starts slow down", [
	data.settings.crash_loop_deaths,
	data.settings.crash_loop_window_seconds,
])
