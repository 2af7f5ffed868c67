package engine

import (
	_ "embed" // for the schema
	"encoding/json"
	"fmt"
	"maps"

	"hermes-reconcile/engine/facts/fact"
)

// inputSchema is the JSON Schema of the input document without facts.
//
//go:embed input.schema.json
var inputSchema []byte

// InputSchema composes the JSON Schema of the input document from the schemas of the sources.
// `schema input` prints it, and the rules are compiled against it.
func InputSchema(sources []fact.Source, profileSources []fact.ProfileSource) (json.RawMessage, error) {
	var root object
	if err := json.Unmarshal(inputSchema, &root); err != nil {
		return nil, err
	}
	properties := root["properties"].(object)
	container := properties["container"].(object)["properties"].(object)
	profile := properties["profiles"].(object)["additionalProperties"].(object)["properties"].(object)
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
