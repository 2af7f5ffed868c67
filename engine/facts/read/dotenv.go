package read

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"hermes-reconcile/policy"
)

const maxVariables = 1000

// A Dotenv is the .env of a profile. Its values are secrets.
type Dotenv struct {
	Outcome
	Names  []string // in the order of the file, each once
	Values map[string]string
	Link   bool // .env is a link, which is not read
}

// ReadDotenv reads .env, once for all sources of a profile.
func ReadDotenv(dir policy.Directory) Dotenv {
	return remember(dir, ".env", func() Dotenv {
		data, out := File(dir, ".env", MaxState)
		if out.Status != "" {
			info, err := dir.Lstat(".env")
			return Dotenv{Outcome: out, Link: err == nil && info.Mode()&fs.ModeSymlink != 0}
		}
		return ParseDotenv(data)
	})
}

// ParseDotenv parses the syntax of upstream's reader: NAME=value, "export" before it, values
// in single or double quotes that may span lines, # comments. It skips every other line. The
// last of two equal names wins.
func ParseDotenv(data []byte) Dotenv {
	text := strings.ReplaceAll(strings.ReplaceAll(decoded(data), "\r\n", "\n"), "\r", "\n")
	if strings.ContainsRune(text, 0) {
		return Dotenv{Outcome: Invalid("not text")}
	}
	env := Dotenv{Outcome: Recorded, Values: map[string]string{}}
	for rest := text; rest != "" && len(env.Names) < maxVariables; {
		name, value, after, ok := parseAssignment(rest)
		rest = after
		if !ok {
			continue
		}
		if _, again := env.Values[name]; !again {
			env.Names = append(env.Names, name)
		}
		env.Values[name] = value
	}
	if len(env.Names) == 0 {
		env.Status = policy.StatusEmpty
	}
	return env
}

var reference = policy.Pattern(`\$\{([^}:]*)(?::-([^}]*))?\}`)

// Resolved returns the variables with each ${NAME} and ${NAME:-default} replaced by the value of
// an earlier variable, else by that of environ. The values together have at most MaxConfig
// bytes; a value without room is empty.
func (d Dotenv) Resolved(environ map[string]string) Dotenv {
	if !slices.ContainsFunc(d.Names, func(name string) bool { return strings.Contains(d.Values[name], "${") }) {
		return d
	}
	values, room := map[string]string{}, MaxConfig
	for _, name := range d.Names {
		values[name] = expanded(d.Values[name], room, values, environ)
		room -= len(values[name])
	}
	d.Values = values
	return d
}

// expanded returns a text with its references replaced, or "" if that has more than room bytes.
func expanded(text string, room int, first, then map[string]string) string {
	var b strings.Builder
	end := 0
	for _, at := range reference().FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(text[end:at[0]])
		end = at[1]
		name := text[at[2]:at[3]]
		value, set := first[name]
		if !set {
			value, set = then[name]
		}
		if !set && at[4] >= 0 {
			value = text[at[4]:at[5]]
		}
		if b.Len()+len(value) > room {
			return ""
		}
		b.WriteString(value)
	}
	return b.String() + text[end:]
}

// decoded returns the text of a .env as upstream reads it: UTF-16 with a byte order mark,
// UTF-8, else Latin-1.
func decoded(data []byte) string {
	for mark, order := range map[string]binary.ByteOrder{"\xff\xfe": binary.LittleEndian, "\xfe\xff": binary.BigEndian} {
		if wide, ok := bytes.CutPrefix(data, []byte(mark)); ok {
			units := make([]uint16, len(wide)/2)
			for i := range units {
				units[i] = order.Uint16(wide[2*i:])
			}
			return string(utf16.Decode(units))
		}
	}
	data = withoutBOM(data)
	if utf8.Valid(data) {
		return string(data)
	}
	runes := make([]rune, len(data))
	for i, b := range data {
		runes[i] = rune(b)
	}
	return string(runes)
}

// parseAssignment parses the first line of text, or the lines that a quoted value spans, and
// returns the rest.
func parseAssignment(text string) (name, value, rest string, ok bool) {
	line, next, _ := strings.Cut(text, "\n")
	name, value, found := strings.Cut(line, "=")
	name = strings.Trim(strings.TrimSpace(name), "'")
	if after, ok := strings.CutPrefix(name, "export"); ok && strings.TrimLeft(after, " \t") != after {
		name = strings.TrimSpace(after)
	}
	if !found || !IsVariable(name) {
		return "", "", next, false
	}
	value = strings.TrimLeft(value, " \t\r")
	if value == "" || (value[0] != '"' && value[0] != '\'') {
		return name, unquoted(value), next, true
	}
	start := len(line) - len(value)
	inside, end, ok := quotedValue(text[start:])
	if !ok {
		return "", "", next, false
	}
	after, rest, _ := strings.Cut(text[start+end:], "\n")
	if after = strings.TrimSpace(after); after != "" && after[0] != '#' {
		return "", "", rest, false
	}
	return name, inside, rest, true
}

// unquoted cuts off a comment, which begins with a # after a space. A # at the start is part
// of the value.
func unquoted(value string) string {
	for i := 1; i < len(value); i++ {
		if value[i] == '#' && (value[i-1] == ' ' || value[i-1] == '\t') {
			value = value[:i]
			break
		}
	}
	return strings.TrimSpace(value)
}

// quotedValue parses a value from its opening quote to the closing quote. end is behind the
// closing quote.
func quotedValue(text string) (value string, end int, ok bool) {
	quote := text[0]
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return b.String(), i + 1, true
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteString(unescaped(quote, text[i]))
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, false
}

// doubleQuoted lists the escapes in double quotes, each before the character that it means.
const doubleQuoted = "a\ab\bf\fn\nr\rt\tv\v''"

// unescaped returns what a backslash and c mean. Single quotes know only the quote and the
// backslash.
func unescaped(quote, c byte) string {
	if c == quote || c == '\\' {
		return string(c)
	}
	if quote == '"' {
		for i := 0; i < len(doubleQuoted); i += 2 {
			if doubleQuoted[i] == c {
				return doubleQuoted[i+1 : i+2]
			}
		}
	}
	return "\\" + string(c)
}

// IsVariable reports whether an environment variable can have that name.
func IsVariable(name string) bool { return len(name) <= 256 && policy.IsVariable(name) }

// ParseSwitch parses 1, true, yes, on and 0, false, no, off in any case. on is nil for a
// blank text and for any other word, which is the problem. Quotes around the word, as
// docker run --env-file keeps them, are a problem that does not hide what is meant.
func ParseSwitch(s string) (on *bool, problem string) {
	word := strings.ToLower(strings.TrimSpace(s))
	if bare := strings.Trim(word, `"'`); bare != word {
		word, problem = strings.TrimSpace(bare), "the value has quotes in it"
	}
	switch word {
	case "":
		return nil, ""
	case "1", "true", "yes", "on":
		return new(true), problem
	case "0", "false", "no", "off":
		return new(false), problem
	}
	return nil, "want 1, true, yes, on or 0, false, no, off"
}
