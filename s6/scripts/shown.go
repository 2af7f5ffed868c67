package scripts

import (
	"bytes"
	"strings"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/supervise"
)

// The words of a run script, as a quoter writes them. Every variable is quoted, for its =.
const (
	shellWord = `(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^\s'"]+)`
	variable  = ` (?:'[A-Za-z_][A-Za-z0-9_]*=[^']*'|"[A-Za-z_][A-Za-z0-9_]*=(?:[^"\\]|\\.)*")`
)

var (
	environment = policy.Pattern(supervise.SlotVariable + "=" + shellWord + "((?:" + variable + ")*)")
	variables   = policy.Pattern(variable)
	assignment  = policy.Pattern(`([A-Za-z_][A-Za-z0-9_]*)=(` + shellWord + `)`)
)

// Environment returns the variables of rules in a run script, with their values in quotes. A
// script of another program has none.
func Environment(run []byte) map[string]string {
	env := map[string]string{}
	if found := environment().FindSubmatch(run); found != nil {
		for _, word := range variables().FindAllString(string(found[1]), -1) {
			name, value, _ := strings.Cut(word[2:], "=")
			env[name] = value
		}
	}
	return env
}

// Shown returns a run script as it may be shown, with each variable of a rule on a line of its
// own. The values of other variables are left out, and so are those that could be a secret. Of a
// script of another program nothing is shown.
func Shown(run []byte, env map[string]string) []byte {
	part := environment().FindSubmatchIndex(run)
	if part == nil {
		return []byte("# a script of another program\n")
	}
	words := variables().ReplaceAllStringFunc(string(run[part[2]:part[3]]), func(word string) string {
		name, _, _ := strings.Cut(word[2:], "=")
		if _, ours := env[name]; !ours || policy.NamesSecret(name) {
			word = " " + name + "=<redacted>"
		}
		return " \\\n\t" + word[1:]
	})
	withoutSecrets := func(text []byte) string {
		return assignment().ReplaceAllStringFunc(string(text), func(word string) string {
			if name, _, _ := strings.Cut(word, "="); policy.NamesSecret(name) {
				return name + "=<redacted>"
			}
			return word
		})
	}
	rest := bytes.TrimPrefix(run[part[3]:], []byte(" "))
	return []byte(withoutSecrets(run[:part[2]]) + words + " \\\n\t" + withoutSecrets(rest))
}
