package facts

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// secretEndings are the endings of the names of secrets.
var secretEndings = []string{"_TOKEN", "_KEY", "_SECRET", "_APP_ID", "_ACCOUNT_ID"}

// fingerprint identifies a secret without revealing it. Upstream names its token locks the same
// way, so that the two can be joined.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:8])
}

// isSecretName reports whether a variable of this name holds a credential.
func isSecretName(name string) bool { return secretEnding(name) != "" }

func secretEnding(name string) string {
	for _, ending := range secretEndings {
		if len(name) > len(ending) && strings.HasSuffix(name, ending) {
			return ending
		}
	}
	return ""
}

// looksSecret reports whether a value of this name might be a credential. It is wider than
// isSecretName, for values that are shown.
func looksSecret(name string) bool {
	upper := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	for _, part := range []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "APIKEY", "API_KEY", "PRIVATE", "AUTH", "COOKIE"} {
		if strings.Contains(upper, part) {
			return true
		}
	}
	return upper == "KEY" || upper == "PASS" || isSecretName(upper)
}

// scopeOf returns what a credential is for: "telegram" for TELEGRAM_BOT_TOKEN.
func scopeOf(name string) string {
	scope := strings.ToLower(strings.TrimSuffix(name, secretEnding(name)))
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
