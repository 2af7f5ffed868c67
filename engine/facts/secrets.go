package facts

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"hermes-reconcile/policy"
)

// fingerprint identifies a secret without revealing it. Upstream names its token locks the same
// way, so that the two can be joined.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:8])
}

// scopeOf returns what a credential is for: "telegram" for TELEGRAM_BOT_TOKEN.
func scopeOf(name string) string {
	scope := strings.ToLower(strings.TrimSuffix(name, policy.SecretEnding(name)))
	if short := strings.TrimSuffix(scope, "_bot"); short != "" {
		scope = short
	}
	return scope
}

var userinfo = regexp.MustCompile(`(?s)^(.*?://)[^/?#]*@`)

// withoutUserinfo redacts user and password in a text that looks like a URL.
func withoutUserinfo(s string) string { return userinfo.ReplaceAllString(s, "${1}"+redacted+"@") }

// redacted replaces a secret in a text that is shown.
const redacted = "<redacted>"

// knownSecret matches credentials of well-known services, and long hexadecimal words.
var knownSecret = regexp.MustCompile(`-----BEGIN|://[^/?#]*@` +
	`|\b(sk|pk|rk|xapp|xox[a-z]|gh[oprsu]|github_pat|glpat|hf)[-_][-_.A-Za-z0-9]{14,}` +
	`|\b(AKIA|AIza|ya29|eyJ)[-_.A-Za-z0-9]{12,}|\b[0-9]{6,}:[-_A-Za-z0-9]{20,}|\b[0-9a-fA-F]{32,}\b`)

var longWord = regexp.MustCompile(`[A-Za-z0-9]{20,}`)

// looksSecret reports whether a value might be a credential, whatever its name: it has the form
// of a known one, or a word of 20 characters with capitals, small letters and digits.
func looksSecret(value string) bool {
	if knownSecret.MatchString(value) {
		return true
	}
	for _, word := range longWord.FindAllString(value, -1) {
		if strings.ToLower(word) != word && strings.ToUpper(word) != word && strings.ContainsAny(word, "0123456789") {
			return true
		}
	}
	return false
}
