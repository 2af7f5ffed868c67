package facts

import (
	"encoding/json"

	"hermes-reconcile/policy"
)

// writer names who could have written the source of a fact.
type writer string

const (
	byImage    writer = "image"
	byOperator writer = "operator"
	byKernel   writer = "kernel"
	byAgent    writer = "agent"
)

// schema is a JSON Schema under construction.
type schema map[string]any

// properties are the fixed keys of an object.
type properties map[string]schema

func typed(kind, description string) schema {
	return schema{"type": kind, "description": description}
}

func text(description string) schema    { return typed("string", description) }
func integer(description string) schema { return typed("integer", description) }
func number(description string) schema  { return typed("number", description) }
func boolean(description string) schema { return typed("boolean", description) }

// word is a string that is one of a few.
func word(description string, words ...string) schema {
	s := text(description)
	s["enum"] = words
	return s
}

func list(description string, item schema) schema {
	s := typed("array", description)
	s["items"] = item
	return s
}

// object has the keys that are named and no others.
func object(description string, keys properties) schema {
	s := typed("object", description)
	s["properties"] = keys
	s["additionalProperties"] = false
	return s
}

// byName is an object with any keys, whose values have one schema.
func byName(description string, value schema) schema {
	s := typed("object", description)
	s["additionalProperties"] = value
	return s
}

// anything is an object with any keys and values.
func anything(description string) schema {
	s := typed("object", description)
	s["additionalProperties"] = schema{}
	return s
}

// from names another writer for this part than for the rest of the fact.
func (s schema) from(w writer) schema {
	s["x-written-by"] = w
	return s
}

// statuses are those that every fact may have.
var statuses = []string{
	policy.StatusMissing, policy.StatusUnreadable, policy.StatusInvalid, policy.StatusEmpty,
	policy.StatusRecorded, policy.StatusTimedOut, policy.StatusFailed,
}

func status(description string) schema { return word(description, statuses...) }

// fact is the schema of a whole fact: an object with status and error besides
// its own keys.
func fact(w writer, description string, keys properties) string {
	keys["status"] = status("how the collection went")
	keys["error"] = text("what went wrong; never quotes what was read")
	s := object(description, keys)
	s.attribute(w)
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain maps and strings: cannot happen
	}
	return string(text)
}

// attribute names the writer of everything below that does not name its own.
func (s schema) attribute(w writer) {
	if own, ok := s["x-written-by"].(writer); ok {
		w = own
	}
	if len(s) > 0 {
		s["x-written-by"] = w
	}
	if keys, ok := s["properties"].(properties); ok {
		for _, key := range keys {
			key.attribute(w)
		}
	}
	for _, part := range []string{"items", "additionalProperties"} {
		if below, ok := s[part].(schema); ok {
			below.attribute(w)
		}
	}
}
