# METADATA
# scope: package
# title: One owner for each bot token
# description: |
#   Two gateways with one bot token steal each other's messages. Of the profiles
#   that would start with the same token, one goes up: first the owner in
#   settings.token_owners, then the root profile with its own token, then a profile
#   with the token in its .env, then in its config.yaml, and last in the environment
#   of the container, which every gateway inherits. Among equals the first by name
#   wins. The owner in the settings keeps the others down even while it is down
#   itself. The rule compares tokens by fingerprint. Only exclusive tokens count:
#   several gateways may share the key of a model provider or of the API server. An
#   .env that is a link is not read; such a profile starts, with an alarm. The recipe
#   runs after port_owner, and gives no token to a profile that waits for a port.
# custom:
#   evidence: ["#51228", "#49196", "#89315", "#29092"]
#   contributes: [hold, alarm]
#   codes: [token_owned_by, owner_unknown, tokens_unknown]
package reconcile.after.token_owner

hold contains {"profile": profile, "code": "token_owned_by", "reason": reason} if {
	some [fingerprint, _, profile, scope, variable, source] in _claims
	owner := object.get(data.settings.token_owners, fingerprint, _first[fingerprint])
	owner != profile
	reason := sprintf("its %s token %s (%s in %s) belongs to %s", [scope, fingerprint, variable, source, owner])
}

alarm contains {"code": "owner_unknown", "reason": reason} if {
	some fingerprint, owner in data.settings.token_owners
	not input.profiles[owner]
	reason := sprintf("settings.token_owners gives %s to %q, and there is no such profile", [fingerprint, owner])
}

# A linked .env may lead to the token of another profile.
alarm contains {"profile": name, "code": "tokens_unknown", "reason": reason} if {
	count(data.settings.token_owner_scopes) > 0
	some name, decision in input.decisions
	decision.action == "start"
	tokens := input.profiles[name].tokens
	not tokens.status in ["missing", "empty", "recorded"]
	reason := sprintf(
		"it starts although its tokens are unknown (%s): %s",
		[tokens.status, object.get(tokens, "error", "no reason given")],
	)
}

# The first profile that claims a token.
_first := {claim[0]: claim[2] |
	some i, claim in _claims
	not _same_token(i)
}

_same_token(i) if _claims[i - 1][0] == _claims[i][0]

_claims := sort([[token.fingerprint, _rank(name, token.source), name, token.scope, token.name, token.source] |
	some name, decision in input.decisions
	decision.action == "start"
	some token in input.profiles[name].tokens.tokens
	_counts(token)
])

_counts(token) if {
	token.exclusive
	token.scope in data.settings.token_owner_scopes
}

_counts(token) if data.settings.token_owners[token.fingerprint]

_rank("default", source) := 0 if source != "environment"

_rank("default", "environment") := 3

_rank(name, source) := {"managed": 1, ".env": 1, "config.yaml": 2, "environment": 4}[source] if name != "default"
