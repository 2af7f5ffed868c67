package rego

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego/recipes"
)

// recipeDefaults returns the settings of the shipped recipes that the sources are copies
// of. They give the types of the settings, which an operator edits in the copy. A copy has
// the title of its recipe; a rule of the same name may be the operator's own.
func recipeDefaults(sources []Source) map[string]any {
	all := map[string]any{}
	for _, s := range sources {
		name := s.Package()[strings.LastIndex(s.Package(), ".")+1:]
		text, err := recipes.Files.ReadFile(name + "/" + name + ".rego")
		title := titleLine().Find(text)
		if s.Layer == 0 || err != nil || title == nil || !bytes.Contains(s.Text, title) {
			continue
		}
		text, err = recipes.Files.ReadFile(name + "/settings.yaml")
		if err == nil {
			values, _, _ := ParseSettings(name, text)
			maps.Copy(all, values)
		}
	}
	return all
}

var titleLine = policy.Pattern(`(?m)^# title: .*$`)

// switchWords are the words that people write for on and off. YAML 1.1 and 1.2 differ in
// which of them are booleans.
var switchWords = map[string]bool{
	"true": true, "yes": true, "on": true, "1": true,
	"false": false, "no": false, "off": false, "0": false,
}

// Fitted returns a value as the type of a standard value, if it is clear what is meant: a
// word for on or off is a boolean, a number in quotes is a number, a number is the text of
// a name, and one item is a list of it. Any other value stays as it is. The node has the
// text as it is written, and is nil without one.
func Fitted(key string, standard, value any, node *yaml.Node) any {
	text, isScalar := scalarText(value, node)
	list, isList := value.([]any)
	switch standard := standard.(type) {
	case bool:
		if on, ok := switchWords[strings.ToLower(text)]; ok && isScalar {
			return on
		}
	case string:
		if _, isNumber := value.(json.Number); isNumber {
			return text
		}
	case json.Number:
		if strings.HasSuffix(key, "_percent") {
			text = strings.TrimSpace(strings.TrimSuffix(text, "%"))
		}
		if _, err := strconv.ParseFloat(text, 64); err == nil && isScalar && json.Valid([]byte(text)) {
			return json.Number(text)
		}
	case []any:
		if isScalar && text != "" {
			list, isList = []any{value}, true
		}
		if !isList {
			return value
		}
		item := any("") // names, also where the standard is empty
		if len(standard) > 0 {
			item = standard[0]
		}
		items := make([]any, len(list))
		for i := range list {
			items[i] = Fitted(key, item, list[i], below(node, i))
		}
		return items
	}
	return value
}

// scalarText returns the text of a boolean, a number or a string.
func scalarText(value any, node *yaml.Node) (text string, ok bool) {
	switch value.(type) {
	case bool, json.Number, string:
	default:
		return "", false
	}
	if node != nil && node.Kind == yaml.ScalarNode {
		return strings.TrimSpace(node.Value), true
	}
	return strings.TrimSpace(fmt.Sprint(value)), true
}
