package fact

import (
	"crypto/sha256"
	"encoding/hex"

	"hermes-reconcile/policy"
)

// Fingerprint identifies a secret without revealing it. Upstream names its token locks the same
// way, so that the two can be joined.
func Fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:8])
}

var userinfo = policy.Pattern(`(?s)^(.*?://)[^/?#]*@`)

// WithoutUserinfo redacts user and password in a text that looks like a URL.
func WithoutUserinfo(s string) string { return userinfo().ReplaceAllString(s, "${1}"+Redacted+"@") }

// Redacted replaces a secret in a text that is shown.
const Redacted = "<redacted>"
