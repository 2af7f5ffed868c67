package policy

import (
	"fmt"
	"strings"
	"unicode"
)

// Line returns text that may come from the volume on one line: every character that
// could break the line or steer a terminal becomes the replacement character.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// Word returns text that may come from the volume as one word, so that an agent can neither
// break a line nor forge a key. Anything but a plain word is quoted.
func Word(text string) string {
	plain := text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.:/", r))
	})
	if plain {
		return text
	}
	return fmt.Sprintf("%+q", text)
}

// Count returns "1 profile", "2 profiles" and so on.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
