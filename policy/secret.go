package policy

import "strings"

// secretEndings are the endings of the names of variables that hold a credential.
var secretEndings = []string{"_TOKEN", "_KEY", "_SECRET", "_APP_ID", "_ACCOUNT_ID"}

// SecretEnding returns the ending that makes a variable's name that of a credential, or "".
func SecretEnding(variable string) string {
	for _, ending := range secretEndings {
		if len(variable) > len(ending) && strings.HasSuffix(variable, ending) {
			return ending
		}
	}
	return ""
}

// NamesSecret reports whether a value of this name might be a credential. It is wider than
// SecretEnding, for values that are shown.
func NamesSecret(name string) bool {
	upper := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	for _, part := range []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "APIKEY", "API_KEY", "PRIVATE", "AUTH", "COOKIE"} {
		if strings.Contains(upper, part) {
			return true
		}
	}
	return upper == "KEY" || upper == "PASS" || SecretEnding(upper) != ""
}
