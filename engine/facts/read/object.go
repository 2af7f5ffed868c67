package read

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

// JSON reads a JSON object of a profile, up to limit bytes. Keys are matched exactly as
// they are written, the last of two equal keys wins, and a BOM is accepted. Unless the
// outcome is Recorded, the object has no fields.
func JSON(dir policy.Directory, name string, limit int64) (Object, Outcome) {
	return ObjectIn(File(dir, name, limit))
}

// ObjectIn parses what was read of a file as JSON does, if it could be read.
func ObjectIn(data []byte, out Outcome) (Object, Outcome) {
	if out.Status != "" {
		return Object{}, out
	}
	return ParseObject(data)
}

// ParseObject parses a JSON object as JSON does.
func ParseObject(data []byte) (Object, Outcome) {
	data = bytes.TrimSpace(withoutBOM(data))
	if len(data) == 0 {
		return Object{}, Outcome{Status: policy.StatusEmpty}
	}
	if !utf8.Valid(data) {
		return Object{}, Invalid("not UTF-8")
	}
	if problem := policy.JSONExcess(data); problem != "" {
		return Object{}, Invalid("%s", problem)
	}
	// A struct would match keys in any case.
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return Object{}, Invalid("%s", jsonProblem(err))
	}
	if raw == nil {
		return Object{}, Invalid("null, want a JSON object")
	}
	if len(raw) == 0 {
		return Object{}, Outcome{Status: policy.StatusEmpty}
	}
	return Object{Raw: raw}, Recorded
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

// An Object is a JSON object whose values are decoded one by one. The methods return nil for
// a value that is absent or null, and for a value of another type, which they also note in
// Unexpected.
type Object struct {
	Raw        map[string]json.RawMessage
	Unexpected []string
}

// Value decodes one value, unless it is absent or null.
func Value[T any](f *Object, key string) *T {
	raw, ok := f.Raw[key]
	if !ok || string(raw) == "null" {
		return nil
	}
	var v T
	if json.Unmarshal(raw, &v) != nil {
		f.Unexpected = append(f.Unexpected, key)
		return nil
	}
	return &v
}

// Text returns a string of at most limit bytes.
func (f *Object) Text(key string, limit int) *string {
	s := Value[string](f, key)
	if s != nil {
		*s = Bounded(*s, limit)
	}
	return s
}

// Bool returns a boolean.
func (f *Object) Bool(key string) *bool { return Value[bool](f, key) }

// Integer returns a whole number. 12.0 is a whole number.
func (f *Object) Integer(key string) *int64 {
	n := Value[float64](f, key)
	if n == nil {
		return nil
	}
	if exact, err := strconv.ParseInt(string(f.Raw[key]), 10, 64); err == nil {
		return &exact
	}
	if *n != math.Trunc(*n) || math.Abs(*n) > 1<<53 {
		f.Unexpected = append(f.Unexpected, key)
		return nil
	}
	return new(int64(*n))
}

// Moment returns a time in seconds since 1970. Upstream writes numbers in some places and
// ISO 8601 in others.
func (f *Object) Moment(key string) *int64 {
	raw, ok := f.Raw[key]
	if !ok || string(raw) == "null" {
		return nil
	}
	if t, ok := parseMoment(raw); ok {
		return &t
	}
	f.Unexpected = append(f.Unexpected, key)
	return nil
}

// parseMoment reads a JSON number of seconds or a JSON string.
func parseMoment(raw json.RawMessage) (int64, bool) {
	var seconds float64
	if json.Unmarshal(raw, &seconds) == nil {
		return WholeSeconds(seconds)
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

// WholeSeconds returns a time in seconds since 1970, and whether it is a date up to the
// year 9999.
func WholeSeconds(seconds float64) (int64, bool) {
	if math.IsNaN(seconds) || seconds < 0 || seconds > 253402300799 {
		return 0, false
	}
	return int64(seconds), true
}

// Object returns an object.
func (f *Object) Object(key string) *Object {
	m := Value[map[string]json.RawMessage](f, key)
	if m == nil {
		return nil
	}
	return &Object{Raw: *m}
}

// Texts returns the strings of a list, at most count of them, each of at most limit bytes.
func (f *Object) Texts(key string, count, limit int) []string {
	l := Value[[]string](f, key)
	if l == nil {
		return nil
	}
	out := make([]string, 0, min(len(*l), count))
	for _, s := range (*l)[:min(len(*l), count)] {
		out = append(out, Bounded(s, limit))
	}
	return out
}

// Names returns the keys, sorted, at most limit of them.
func (f *Object) Names(limit int) []string {
	names := slices.Sorted(maps.Keys(f.Raw))
	return names[:min(len(names), limit)]
}
