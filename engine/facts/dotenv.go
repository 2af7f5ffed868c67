package facts

import (
	"errors"
	"io/fs"
	"strings"
	"unicode/utf8"

	"hermes-reconcile/policy"
)

// maxVariables bounds how many variables of a .env are looked at.
const maxVariables = 1000

// A dotenv is the .env of a profile. Its values are secrets.
type dotenv struct {
	outcome
	names  []string // in the order of the file, each once
	values map[string]string
	link   bool // it is a link, and so was not read
}

// readDotenv reads .env, once for all sources of a profile.
func readDotenv(dir policy.Directory) dotenv {
	return remember(dir, ".env", func() dotenv {
		data, out := readFile(dir, ".env", maxState)
		if out.Status != "" {
			info, err := dir.Lstat(".env")
			return dotenv{outcome: out, link: err == nil && info.Mode()&fs.ModeSymlink != 0}
		}
		return parseDotenv(data)
	})
}

// get returns a value without spaces around it, and whether it is set and not
// blank.
func (d dotenv) get(name string) (string, bool) {
	v := strings.TrimSpace(d.values[name])
	return v, v != ""
}

// parseDotenv reads the syntax of upstream's reader: NAME=value, "export" before
// it, values in single or double quotes that may span lines, # comments. A line
// that is none of this is passed over. The last of two equal names wins.
func parseDotenv(data []byte) dotenv {
	data = withoutBOM(data)
	if !utf8.Valid(data) || strings.ContainsRune(string(data), 0) {
		return dotenv{outcome: invalid("not UTF-8 text")}
	}
	env := dotenv{outcome: recorded, values: map[string]string{}}
	for rest := string(data); rest != "" && len(env.names) < maxVariables; {
		name, value, after, err := parseAssignment(rest)
		rest = after
		if err != nil {
			continue
		}
		if _, again := env.values[name]; !again {
			env.names = append(env.names, name)
		}
		env.values[name] = value
	}
	if len(env.names) == 0 {
		env.Status = policy.StatusEmpty
	}
	return env
}

var errNoAssignment = errors.New("no assignment")

// parseAssignment reads the first line of text, or as many as a quoted value
// spans, and returns what follows.
func parseAssignment(text string) (name, value, rest string, err error) {
	line, next, _ := strings.Cut(text, "\n")
	name, value, found := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	if after, ok := strings.CutPrefix(name, "export"); ok && strings.TrimLeft(after, " \t") != after {
		name = strings.TrimSpace(after)
	}
	if !found || !isVariable(name) {
		return "", "", next, errNoAssignment
	}
	value = strings.TrimLeft(value, " \t\r")
	if value == "" || (value[0] != '"' && value[0] != '\'') {
		return name, unquoted(value), next, nil
	}
	start := len(line) - len(value)
	inside, end, ok := quotedValue(text[start:])
	if !ok {
		return "", "", next, errNoAssignment
	}
	after, rest, _ := strings.Cut(text[start+end:], "\n")
	if after = strings.TrimSpace(after); after != "" && after[0] != '#' {
		return "", "", rest, errNoAssignment
	}
	return name, inside, rest, nil
}

// unquoted cuts a comment off, which begins with a # after a space; a value may
// begin with one.
func unquoted(value string) string {
	for i := 1; i < len(value); i++ {
		if value[i] == '#' && (value[i-1] == ' ' || value[i-1] == '\t') {
			value = value[:i]
			break
		}
	}
	return strings.TrimSpace(value)
}

// quotedValue reads a value from its opening quote to the closing one and says
// where that ends.
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

// doubleQuoted are the escapes of double quotes, and what they stand for.
const doubleQuoted = "a\ab\bf\fn\nr\rt\tv\v''"

// unescaped is what a backslash and c mean. Single quotes know only the quote
// and the backslash.
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

// isVariable reports whether name can be that of an environment variable.
func isVariable(name string) bool {
	if name == "" || len(name) > 256 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || (c|0x20 >= 'a' && c|0x20 <= 'z')
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
