package volume

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"hermes-reconcile/policy"
)

// A stateObject is the text of a JSON object with the places of its values, so that a value
// can be replaced while everything else stays byte for byte.
type stateObject struct {
	text   []byte
	values map[string]span // the last of each key
}

type span struct{ start, end int }

// parseState parses the text of a JSON object. It returns nil for anything else, and for
// every text that engine/facts calls invalid. Keys are matched exactly as they are written,
// and the last of two equal ones wins.
func parseState(text []byte) *stateObject {
	if !utf8.Valid(text) || !json.Valid(text) || policy.JSONExcess(text) != "" {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if brace, err := decoder.Token(); err != nil || brace != json.Delim('{') {
		return nil
	}
	o := &stateObject{text: text, values: map[string]span{}}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil
		}
		end := int(decoder.InputOffset())
		o.values[key.(string)] = span{end - len(value), end}
	}
	return o
}

// desired returns the desired state. It is recorded only when it is a string.
func (o *stateObject) desired() (state string, recorded bool) {
	if o == nil {
		return "", false
	}
	at, ok := o.values["desired_state"]
	value := o.text[at.start:at.end]
	if !ok || value[0] != '"' || json.Unmarshal(value, &state) != nil {
		return "", false
	}
	return state, true
}

// withIntent returns the text of the object with another desired state and time of
// writing. Without an object, it returns an object of these two.
func (o *stateObject) withIntent(desired string, updatedAt int64) []byte {
	if o == nil {
		o = parseState([]byte("{}\n"))
	}
	return o.with("desired_state", strconv.Quote(desired)).with("updated_at", strconv.FormatInt(updatedAt, 10)).text
}

// with returns the object with another value of one key.
func (o *stateObject) with(key, value string) *stateObject {
	at, ok := o.values[key]
	if !ok {
		end := len(bytes.TrimRight(o.text[:bytes.LastIndexByte(o.text, '}')], " \t\r\n"))
		at, value = span{end, end}, strconv.Quote(key)+": "+value
		if len(o.values) > 0 {
			value = ", " + value
		}
	}
	return parseState(slices.Concat(o.text[:at.start], []byte(value), o.text[at.end:]))
}
