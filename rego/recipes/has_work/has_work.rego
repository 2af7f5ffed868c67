# METADATA
# scope: package
# title: Start only profiles with work
# description: |
#   An idle gateway costs about 100 MB. A profile has work if it has a bot, listens
#   on a port, or has a scheduled job; the rule holds all others. A bot is one of the
#   platforms in the settings that the profile's files or the environment of the
#   container switch on. A profile whose files cannot be read is not held, because
#   they may define work. With multiplexing on, all work counts for the root profile.
# custom:
#   evidence: ["studio#1323", "template#53", "#69377"]
#   contributes: [hold, alarm]
#   codes: [no_work, bad_setting]
package reconcile.rules.has_work

hold contains {"profile": name, "code": "no_work", "reason": reason} if {
	count(data.settings.has_work) > 0
	some name, profile in input.profiles
	_known(profile)
	not _works(name, profile)
	reason := sprintf("it has no %s", [concat(", no ", data.settings.has_work)])
}

alarm contains {"code": "bad_setting", "reason": reason} if {
	some kind in data.settings.has_work
	not kind in ["bot", "port", "job"]
	reason := sprintf("settings.has_work has %q, want bot, port or job", [kind])
}

_works(_, profile) if {
	"bot" in data.settings.has_work
	some platform in data.settings.has_work_platforms
	profile.platforms.platforms[platform].on
}

_works(_, profile) if {
	"port" in data.settings.has_work
	some listener in profile.ports.ports
	listener.enabled
}

_works(_, profile) if {
	"job" in data.settings.has_work
	profile.config.enabled_jobs > 0
}

# With multiplexing on, the root profile does the work of all profiles.
_works("default", _) if input.container.multiplex.on

_known(profile) if {
	every status in [profile.tokens.status, profile.tokens.config_status, profile.config.jobs_status] {
		status in ["missing", "empty", "recorded"]
	}
	not profile.tokens.env_link
}
