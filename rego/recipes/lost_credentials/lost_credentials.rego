# METADATA
# scope: package
# title: Hold a profile that lost its credentials
# description: |
#   An upgrade or a copy may leave .env behind. The gateway then starts without its
#   bot and looks healthy, but serves no one. The rule holds a profile that uses a
#   platform without a token for it, and names the platform. A profile uses a
#   platform if its config.yaml enables the platform, or if its last gateway had it.
#   A token in the environment of the container counts for every profile.
#   The rule also holds a profile whose .env cannot be read. A link is not followed,
#   so a profile whose .env is a link is not held.
# custom:
#   evidence: ["#51579"]
#   contributes: [hold]
#   codes: [credentials_lost]
package reconcile.rules.lost_credentials

hold contains {"profile": name, "code": "credentials_lost", "reason": reason} if {
	some platform in data.settings.lost_credentials_platforms
	some name, profile in input.profiles
	use := _use(profile, platform)
	profile.tokens.status in ["missing", "empty", "recorded"]
	_config_known(profile)
	not _has_token(profile, platform)
	reason := sprintf(
		"it uses %s (%s) and has no %s token; its .env is %s",
		[platform, use, platform, profile.tokens.status],
	)
}

hold contains {"profile": name, "code": "credentials_lost", "reason": reason} if {
	count(data.settings.lost_credentials_platforms) > 0
	some name, profile in input.profiles
	profile.tokens.status == "unreadable"
	not profile.tokens.env_link
	reason := sprintf("its .env cannot be read: %s", [object.get(profile.tokens, "error", "no reason given")])
}

_use(profile, platform) := "config.yaml" if profile.config.platforms[platform].enabled

else := "the state of its last gateway" if {
	profile.prior_state.platforms[platform]
	not _switched_off(profile, platform)
	not input.container.multiplex.on # its state then lists the platforms of all served profiles
}

_switched_off(profile, platform) if profile.config.platforms[platform].enabled == false

_config_known(profile) if profile.tokens.config_status in ["missing", "empty", "recorded"]

_has_token(profile, platform) if profile.platforms.platforms[platform].credentials

# These need no token.
_has_token(_, platform) if platform in ["whatsapp", "webhook", "msgraph_webhook", "relay"]
