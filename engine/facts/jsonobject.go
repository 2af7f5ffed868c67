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

// readObject reads a JSON object of a profile. Its keys count exactly as they
// are written, the last of two equal ones wins, and a BOM is accepted. Where the
// outcome is not recorded, there is no object.
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
	if problem := policy.JSONExcess(data); problem != "" {
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
