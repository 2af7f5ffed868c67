package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is how many bytes of a text that a rule or an agent wrote are kept.
const MaxText = 4 << 10

// Cut is CutTo with MaxText.
func Cut(text string) string { return CutTo(text, MaxText) }

// CutTo shortens a text to at most that many bytes, at least 50, and says in the text how
// many are missing.
func CutTo(text string, most int) string {
	if len(text) <= most {
		return text
	}
	kept := most - len("… (18446744073709551615 bytes more)")
	for kept > 0 && !utf8.RuneStart(text[kept]) {
		kept--
	}
	return fmt.Sprintf("%s… (%d bytes more)", text[:kept], len(text)-kept)
}

// Printable reports whether a character may be printed as it is. Characters that steer a
// terminal, change the order of a line, end it, or cannot be seen are not printable.
func Printable(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r < 0x7f
	}
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Line returns a text on one line. Each character that is not printable becomes the escape
// that JSON has for it, such as \n or \u001b.
func Line(text string) string { return escaped(text, "") }

// Clean is Line for a text of several lines: ends of lines and tabs stay. What is written
// anywhere is cleaned. A document in JSON keeps its meaning, because only its strings have
// other characters, and there the escapes mean these characters.
func Clean(text string) string { return escaped(text, "\n\t") }

var shortEscapes = map[rune]string{'\n': `\n`, '\t': `\t`, '\r': `\r`}

// escaped escapes the characters that are neither printable nor among except.
func escaped(text, except string) string {
	plain := 0 // bytes; a document is plain all through
	for plain < len(text) && (text[plain] >= ' ' && text[plain] < 0x7f || strings.IndexByte(except, text[plain]) >= 0) {
		plain++
	}
	stays := func(r rune) bool { return Printable(r) || strings.ContainsRune(except, r) }
	if rest := text[plain:]; utf8.ValidString(rest) && !strings.ContainsFunc(rest, func(r rune) bool { return !stays(r) }) {
		return text
	}
	var clean strings.Builder
	for i, r := range text {
		switch short := shortEscapes[r]; {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			clean.WriteString(`\ufffd`) // a byte that is not UTF-8
		case stays(r):
			clean.WriteRune(r)
		case short != "":
			clean.WriteString(short)
		case r > 0xffff:
			fmt.Fprintf(&clean, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&clean, `\u%04x`, r)
		}
	}
	return clean.String()
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

// Few lists the first names and how many more there are.
func Few(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
