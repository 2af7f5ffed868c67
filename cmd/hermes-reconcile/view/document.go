// Package view prints documents: as tables, JSON and YAML.
package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy"
)

// Print prints a document in a format: as its table, which people read, or as JSON or YAML.
func Print[T any](w io.Writer, format string, value T, table func(io.Writer, T)) error {
	var text bytes.Buffer
	if format == "table" {
		table(&text, value)
	} else if err := document(&text, format, value); err != nil {
		return err
	}
	_, err := w.Write(text.Bytes())
	return err
}

// document writes a value as JSON or YAML. Cleaned by policy.Clean, it means the same.
func document(w *bytes.Buffer, format string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if format == "json" {
		fmt.Fprintf(w, "%s\n", text)
		return nil
	}
	// Through JSON, so that both have the same keys in the same shape.
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	node, err := nodeOf(decoder)
	if err != nil {
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return err
	}
	return encoder.Close()
}

// nodeOf reads one JSON value as YAML. Text with an unprintable character is in double
// quotes, where YAML has the escapes of JSON.
func nodeOf(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		node := &yaml.Node{Kind: yaml.MappingNode}
		if token == '[' {
			node.Kind = yaml.SequenceNode
		}
		for decoder.More() {
			child, err := nodeOf(decoder)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		_, err = decoder.Token()
		return node, err
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: token.String()}, nil
	}
	node := &yaml.Node{}
	err = node.Encode(token)
	if text, ok := token.(string); ok && policy.Clean(text) != text {
		node.Style = yaml.DoubleQuotedStyle
	}
	return node, err
}

// line prints one line. No text in it breaks it.
func line(w io.Writer, format string, values ...any) {
	fmt.Fprintln(w, policy.Line(fmt.Sprintf(format, values...)))
}
