package facts

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hermes-reconcile/policy"
)

// What a JSON document may be. Deeper and longer ones are no state of a gateway,
// and some readers stumble over them.
const (
	maxDepth    = 64
	maxNumber   = 400 // digits
	maxExponent = 4   // digits
)

// readObject reads a JSON object of a profile. Its keys count exactly as they
// are written, the last of two equal ones wins, and a BOM is accepted. Where the
// outcome is not recorded there is no object.
func readObject(dir policy.Directory, name string, limit int64) (fields, outcome) {
	data, out := readFile(dir, name, limit)
	if out.Status != "" {
		return fields{}, out
	}
	return parseObject(data)
}

func parseObject(data []byte) (fields, outcome) {
	data = bytes.TrimSpace(withoutBOM(data))
	if len(data) == 0 {
		return fields{}, outcome{Status: policy.StatusEmpty}
	}
	if !utf8.Valid(data) {
		return fields{}, invalid("not UTF-8")
	}
	if problem := tooMuch(data); problem != "" {
		return fields{}, invalid("%s", problem)
	}
	// Into a map: a struct would match keys in any case.
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return fields{}, invalid("%s", jsonProblem(err))
	}
	if raw == nil {
		return fields{}, invalid("null, want a JSON object")
	}
	if len(raw) == 0 {
		return fields{}, outcome{Status: policy.StatusEmpty}
	}
	return fields{raw: raw}, recorded
}

// jsonProblem describes an error of encoding/json without what was read.
func jsonProblem(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return "not JSON at byte " + strconv.FormatInt(syntax.Offset, 10)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		value, _, _ := strings.Cut(kind.Value, " ")
		return "JSON " + value + ", want a JSON object"
	}
	return "not a JSON object"
}

// tooMuch says what of a JSON text is deeper or longer than is looked at.
func tooMuch(data []byte) string {
	depth, digits, limit, inString := 0, 0, maxNumber, false
	for i := 0; i < len(data); i++ {
		c := data[i]
		if !inString && c >= '0' && c <= '9' {
			if digits++; digits > limit {
				return "a number or exponent of more than " + strconv.Itoa(limit) + " digits"
			}
			continue
		}
		sign := (c == '+' || c == '-') && limit == maxExponent && digits == 0
		if !sign {
			digits, limit = 0, maxNumber
		}
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == 'e' || c == 'E':
			limit = maxExponent
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return "nested deeper than " + strconv.Itoa(maxDepth)
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return ""
}

// fields are the values of a JSON object, taken one by one. A value that is
// absent or null is nil; one of another type is too, and is noted.
type fields struct {
	raw        map[string]json.RawMessage
	unexpected []string
}

// value decodes one field, unless it is absent or null.
func value[T any](f *fields, key string) *T {
	raw, ok := f.raw[key]
	if !ok || string(raw) == "null" {
		return nil
	}
	var v T
	if json.Unmarshal(raw, &v) != nil {
		f.unexpected = append(f.unexpected, key)
		return nil
	}
	return &v
}

// text returns a string of at most limit bytes.
func (f *fields) text(key string, limit int) *string {
	s := value[string](f, key)
	if s != nil {
		*s = bounded(*s, limit)
	}
	return s
}

func (f *fields) boolean(key string) *bool { return value[bool](f, key) }

// integer returns a whole number; 12.0 is one.
func (f *fields) integer(key string) *int64 {
	n := value[float64](f, key)
	if n == nil {
		return nil
	}
	if exact, err := strconv.ParseInt(string(f.raw[key]), 10, 64); err == nil {
		return &exact
	}
	if *n != math.Trunc(*n) || math.Abs(*n) > 1<<53 {
		f.unexpected = append(f.unexpected, key)
		return nil
	}
	whole := int64(*n)
	return &whole
}

// moment returns a time in seconds since 1970. Upstream writes numbers in some
// places and ISO 8601 in others.
func (f *fields) moment(key string) *int64 {
	raw, ok := f.raw[key]
	if !ok || string(raw) == "null" {
		return nil
	}
	if t, ok := parseMoment(raw); ok {
		return &t
	}
	f.unexpected = append(f.unexpected, key)
	return nil
}

// parseMoment reads a JSON number of seconds or a JSON string.
func parseMoment(raw json.RawMessage) (int64, bool) {
	var seconds float64
	if json.Unmarshal(raw, &seconds) == nil {
		return wholeSeconds(seconds)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return 0, false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999-0700", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}

// wholeSeconds accepts what can be a date: up to the year 9999.
func wholeSeconds(seconds float64) (int64, bool) {
	if math.IsNaN(seconds) || seconds < 0 || seconds > 253402300799 {
		return 0, false
	}
	return int64(seconds), true
}

func (f *fields) object(key string) *fields {
	m := value[map[string]json.RawMessage](f, key)
	if m == nil {
		return nil
	}
	return &fields{raw: *m}
}

// texts returns the strings of a list, at most count of them.
func (f *fields) texts(key string, count, limit int) []string {
	l := value[[]string](f, key)
	if l == nil {
		return nil
	}
	out := make([]string, 0, min(len(*l), count))
	for _, s := range (*l)[:min(len(*l), count)] {
		out = append(out, bounded(s, limit))
	}
	return out
}

// names returns the keys in order, at most limit of them.
func (f *fields) names(limit int) []string {
	names := slices.Sorted(maps.Keys(f.raw))
	return names[:min(len(names), limit)]
}
