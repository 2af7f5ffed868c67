package page

import (
	"fmt"
	"html"
	"strings"

	"hermes-reconcile/policy"
)

// A node is HTML that is well formed. Only this file makes nodes, so that all text is escaped.
// Names of tags and attributes are constants.
//
// The package html/template would make the program 3.3 MB larger: it calls methods by their
// names, so the linker keeps every method.
type node string

// An attr is an attribute of the element in whose content it is.
type attr struct{ name, value string }

func class(value string) attr { return attr{"class", value} }

// mostText bounds a text in bytes.
const mostText = 2000

// text makes a node of any text: neither HTML in it nor a character that cannot be seen counts.
func text(value any) node {
	return node(html.EscapeString(policy.Clean(policy.CutTo(fmt.Sprint(value), mostText))))
}

// tag makes an element. Its attributes stand before the rest of its content, which is nodes and
// values that become text.
func tag(name string, content ...any) node {
	var attributes, inner strings.Builder
	for _, c := range content {
		switch c := c.(type) {
		case attr:
			fmt.Fprintf(&attributes, ` %s="%s"`, c.name, text(c.value))
		case node:
			inner.WriteString(string(c))
		default:
			inner.WriteString(string(text(c)))
		}
	}
	return node(fmt.Sprintf("<%s%s>%s</%s>", name, attributes.String(), inner.String(), name))
}

// all makes one node of several.
func all(nodes ...node) node {
	var b strings.Builder
	for _, n := range nodes {
		b.WriteString(string(n))
	}
	return node(b.String())
}

// fill puts nodes in the places of a frame that have their names.
func fill(frame string, nodes map[string]node) string {
	var pairs []string
	for name, n := range nodes {
		pairs = append(pairs, "{"+name+"}", string(n))
	}
	return strings.NewReplacer(pairs...).Replace(frame)
}
