package engine

import (
	"encoding/json"
	"fmt"
	"maps"

	"hermes-reconcile/engine/facts/fact"
)

// InputSchema composes the JSON Schema of the input document from the schemas of the sources.
// `schema input` prints it, and the rules are compiled against it.
func InputSchema(sources []fact.Source, profileSources []fact.ProfileSource) (json.RawMessage, error) {
	container, profile := object{}, object{}
	for _, s := range sources {
		if err := addFact(container, s.Name(), s.Schema()); err != nil {
			return nil, err
		}
	}
	for _, s := range profileSources {
		if err := addFact(profile, s.Name(), s.Schema()); err != nil {
			return nil, err
		}
	}
	root := object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "hermes-reconcile input",
		"type":    "object",
		"properties": object{
			"schema_version": object{"type": "integer", "description": "version of this document"},
			"phase":          object{"type": "string", "enum": []string{"boot", "apply"}, "description": "what the program is doing"},
			"now": closed(object{
				"unix_ns": object{"type": "integer", "description": "nanoseconds since 1970, as the time builtins expect it"},
				"rfc3339": object{"type": "string", "description": "the time in the container's zone"},
				"weekday": object{"type": "string", "description": "Monday to Sunday, in the container's zone"},
				"minute":  object{"type": "integer", "description": "minute of the day, 0 to 1439, in the container's zone"},
				"zone":    object{"type": "string", "description": "abbreviation of the container's zone"},
				"problem": object{"type": "string", "description": "why the zone is UTC although TZ names another; absent when TZ is good"},
			}, "the clock"),
			"container": closed(container, "facts about the container"),
			"profiles": object{
				"type":                 "object",
				"description":          "facts about each profile, by name; \"default\" is the root profile",
				"additionalProperties": closed(profile, "facts about one profile"),
			},
			"decisions": object{
				"type":        "object",
				"description": "reconcile.after packages only: the decisions so far, by profile",
				"additionalProperties": closed(object{
					"action": object{"type": "string", "enum": []string{"start", "down", "skip"}, "description": "what would be done"},
					"code":   object{"type": "string", "description": "why, as a stable word"},
				}, "one decision"),
			},
		},
		"required":             []string{"schema_version", "phase", "now", "container", "profiles"},
		"additionalProperties": false,
	}
	return json.MarshalIndent(root, "", "  ")
}

type object = map[string]any

// addFact adds the schema of one source, with the properties that every fact may have.
func addFact(to object, name, schema string) error {
	var s object
	if err := json.Unmarshal([]byte(schema), &s); err != nil {
		return fmt.Errorf("schema of source %s: %w", name, err)
	}
	if _, twice := to[name]; twice {
		return fmt.Errorf("two sources are called %q", name)
	}
	properties := object{
		"status": object{"type": "string", "description": "how the collection went"},
		"error":  object{"type": "string", "description": "what went wrong; absent when nothing did"},
	}
	if own, ok := s["properties"].(object); ok {
		maps.Copy(properties, own)
	}
	s["type"], s["properties"] = "object", properties
	to[name] = s
	return nil
}

func closed(properties object, description string) object {
	return object{"type": "object", "description": description, "properties": properties, "additionalProperties": false}
}
