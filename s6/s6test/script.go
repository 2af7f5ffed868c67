package s6test

import (
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// HostileWords do harm in a shell script that does not quote them. Root runs the scripts
// of slots.
var HostileWords = []string{
	"$(touch pwned)", "`touch pwned`", "a;touch pwned", "a&touch pwned", "a|touch pwned", "a>pwned", "a'b", "'; touch pwned; '", `a\`, `\'; touch pwned; \'`,
	"a b", "*", "~root", "#x", "!x", "${IFS}touch${IFS}pwned", "%s%n", "é", "(touch pwned)", "{a,b}", "[a-z]*", "$0", "$$",
}

// builtins are the words of the scripts that a shell runs itself.
var builtins = map[string]bool{
	"[": true, ":": true, "exec": true, "exit": true, "export": true, "kill": true, "read": true, "set": true, "trap": true,
	"umask": true, "unset": true, "wait": true,
}

// RootsCommands returns the words of a script that name a program which the shell runs. It
// also looks at the program that "exec" and "set --" name, and into traps.
func RootsCommands(t testing.TB, script string) []string {
	t.Helper()
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), "")
	Must(t, err)
	var found []string
	syntax.Walk(file, func(node syntax.Node) bool {
		call, ok := node.(*syntax.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		words := make([]string, len(call.Args))
		for i, word := range call.Args {
			words[i] = text(word)
		}
		switch {
		case words[0] == "trap" && words[1] != "-":
			found = append(found, RootsCommands(t, words[1])...)
		case words[0] == "exec" && words[1] == "$@":
			found = append(found, words[2])
		case words[0] == "exec":
			found = append(found, words[1])
		case words[0] == "set" && len(words) > 2:
			found = append(found, words[2])
		case !builtins[words[0]]:
			found = append(found, words[0])
		}
		return true
	})
	return found
}

// text is a word without its quotes. Expansions stay as they are written.
func text(word *syntax.Word) string {
	var b strings.Builder
	printer := syntax.NewPrinter()
	var write func(parts []syntax.WordPart)
	write = func(parts []syntax.WordPart) {
		for _, part := range parts {
			switch p := part.(type) {
			case *syntax.SglQuoted:
				b.WriteString(p.Value)
			case *syntax.DblQuoted:
				write(p.Parts)
			default:
				_ = printer.Print(&b, part)
			}
		}
	}
	write(word.Parts)
	return b.String()
}
