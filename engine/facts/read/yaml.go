package read

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy"
)

// A Config is the config.yaml of a profile.
type Config struct {
	Outcome
	Node // the mapping at the top
}

// ReadConfig reads config.yaml, once for all sources of a profile.
func ReadConfig(dir policy.Directory) Config {
	return remember(dir, "config.yaml", func() Config {
		data, out := File(dir, "config.yaml", MaxConfig)
		if out.Status != "" {
			return Config{Outcome: out}
		}
		return ParseConfig(data)
	})
}

// ParseConfig parses the text of a config.yaml.
func ParseConfig(data []byte) (c Config) {
	var document yaml.Node
	if out := parseYAML(data, &document); out.Status != "" {
		return Config{Outcome: out}
	}
	if line := strayTab(string(data)); line > 0 {
		return Config{Outcome: Invalid("not YAML at line %d: a tab", line)}
	}
	if document.Kind == 0 || len(document.Content) == 0 {
		return Config{Outcome: Outcome{Status: policy.StatusEmpty}}
	}
	root := resolved(document.Content[0])
	switch {
	case root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
		return Config{Outcome: Outcome{Status: policy.StatusEmpty}}
	case root.Kind != yaml.MappingNode:
		return Config{Outcome: Invalid("no mapping at the top, want keys with values")}
	}
	if line := refused(document.Content[0], map[string]bool{}); line > 0 {
		return Config{Outcome: Invalid("not valid at line %d: want plain YAML, without tags of an application, keys that are lists, and anchors of one name", line)}
	}
	return Config{Recorded, Node{root}}
}

// plainTags are the tags that upstream's safe loader knows.
var plainTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map", "!!binary", "!!timestamp", "!!omap", "!!pairs", "!!set"}

// refused returns the line of something that upstream's safe loader refuses and the parser here
// does not, or 0.
func refused(node *yaml.Node, anchors map[string]bool) int {
	if anchors[node.Anchor] || node.Style&yaml.TaggedStyle != 0 && !slices.Contains(plainTags, node.ShortTag()) {
		return node.Line
	}
	if node.Anchor != "" {
		anchors[node.Anchor] = true
	}
	for i, below := range node.Content {
		if key := resolved(below); node.Kind == yaml.MappingNode && i%2 == 0 && (key == nil || key.Kind != yaml.ScalarNode) {
			return below.Line
		}
		if line := refused(below, anchors); line > 0 {
			return line
		}
	}
	return 0
}

// YAMLToJSON returns the JSON text of a YAML document.
func YAMLToJSON(data []byte) ([]byte, Outcome) {
	var v any
	if out := parseYAML(data, &v); out.Status != "" {
		return nil, out
	}
	if v == nil {
		return nil, Outcome{Status: policy.StatusEmpty}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, Invalid("a value or key that JSON does not have")
	}
	return text, Outcome{}
}

// parseYAML leaves Status empty when there was no error.
func parseYAML(data []byte, into any) (out Outcome) {
	defer func() {
		if recover() != nil { // the parser gave up on purpose
			out = Invalid("not YAML")
		}
	}()
	data = withoutBOM(data)
	if !utf8.Valid(data) {
		return Invalid("not UTF-8")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	err := decoder.Decode(into)
	if err == io.EOF {
		return Outcome{} // no document
	}
	if err == nil {
		if err = decoder.Decode(new(yaml.Node)); err == io.EOF {
			return Outcome{}
		} else if err == nil {
			return Invalid("a second document")
		}
	}
	return Invalid("%s", yamlProblem(err))
}

// blockScalar is the end of a line after which indented text follows, not YAML.
var blockScalar = policy.Pattern(`(^|\s)[|>][-+0-9]*\s*(#.*)?$`)

// strayTab returns the line of a tab between tokens, or 0. Upstream's parser refuses such a
// tab; the one here takes it for a space.
func strayTab(text string) int {
	quote, block := byte(0), -1 // the open quote; the indent above a block scalar
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if block >= 0 && (indent > block || strings.TrimSpace(line) == "") {
			continue
		}
		block = -1
		before := byte(' ') // the character before, outside of quotes
		for i := 0; i < len(line); i++ {
			c := line[i]
			switch {
			case quote == '"' && c == '\\':
				i++
			case quote != 0 && c == quote:
				quote = 0
			case quote != 0:
			case c == '\t':
				return n + 1
			case c == '#' && before == ' ':
				i = len(line)
			case c == '\'' && before == c, (c == '"' || c == '\'') && strings.IndexByte(" :-,[{?", before) >= 0:
				quote = c
			}
			before = c
		}
		if quote == 0 && blockScalar().MatchString(line) {
			block = indent
		}
	}
	return 0
}

// yamlProblem keeps only the line of an error, whose text may quote the file.
func yamlProblem(err error) string {
	_, rest, found := strings.Cut(err.Error(), "line ")
	line, _, _ := strings.Cut(rest, ":")
	if n, convErr := strconv.Atoi(line); found && convErr == nil {
		return "not YAML at line " + strconv.Itoa(n)
	}
	return "not YAML"
}

// A Node is a value in a YAML document, or nothing. Values are looked up one by one, because
// upstream's YAML lets the last of two equal keys win and knows more words for true and false
// than this parser. A lookup in nothing, or in a value of another kind, finds nothing.
type Node struct{ at *yaml.Node }

// At returns the value that the keys lead to.
func (n Node) At(keys ...string) Node {
	at := n.at
	for _, key := range keys {
		var found *yaml.Node
		entries(at, 0, func(name string, value *yaml.Node) bool {
			if name == key {
				found = value
			}
			return name != key
		})
		at = found
	}
	return Node{at}
}

// Exists reports whether there is a value.
func (n Node) Exists() bool { return n.at != nil }

// IsMapping reports whether the value has keys of its own.
func (n Node) IsMapping() bool {
	at := resolved(n.at)
	return at != nil && at.Kind == yaml.MappingNode
}

// entries calls each with the keys and values of a mapping, the last first, and then with
// those of the mappings that it merges with <<, until each returns false.
func entries(node *yaml.Node, depth int, each func(key string, value *yaml.Node) bool) bool {
	node = resolved(node)
	if node == nil || node.Kind != yaml.MappingNode || depth > 4 {
		return true
	}
	var merged []*yaml.Node
	for i := len(node.Content) - 2; i >= 0; i -= 2 {
		key, value := node.Content[i], resolved(node.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode:
		case key.Value == "<<" && value != nil && value.Kind == yaml.SequenceNode:
			merged = value.Content[:min(len(value.Content), 8)]
		case key.Value == "<<":
			merged = []*yaml.Node{value}
		case !each(key.Value, value):
			return false
		}
	}
	return !slices.ContainsFunc(merged, func(part *yaml.Node) bool { return !entries(part, depth+1, each) })
}

func resolved(node *yaml.Node) *yaml.Node {
	for range 8 {
		if node == nil || node.Kind != yaml.AliasNode {
			return node
		}
		node = node.Alias
	}
	return nil
}

// Keys returns the keys of a mapping and of the mappings that it merges, sorted, each once, at
// most limit.
func (n Node) Keys(limit int) (keys []string) {
	entries(n.at, 0, func(key string, value *yaml.Node) bool {
		if len(key) <= 128 && value != nil {
			keys = append(keys, key)
		}
		return len(keys) < limit
	})
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Text returns the text of a scalar. A mapping, a list and null have none.
func (n Node) Text() (text string, ok bool) {
	if n.at == nil || n.at.Kind != yaml.ScalarNode || n.at.ShortTag() == "!!null" {
		return "", false
	}
	return n.at.Value, true
}

// Bool returns a switch, or nil. Upstream accepts the same words quoted and bare.
func (n Node) Bool() *bool {
	text, _ := n.Text()
	on, _ := ParseSwitch(text)
	return on
}

// Texts returns a list of strings, or one string as a list. It returns at most count, each
// of at most limit bytes.
func (n Node) Texts(count, limit int) []string {
	if s, ok := n.Text(); ok {
		return []string{Bounded(s, limit)}
	}
	if n.at == nil || n.at.Kind != yaml.SequenceNode {
		return nil
	}
	out := []string{}
	for _, item := range n.at.Content[:min(len(n.at.Content), count)] {
		if s, ok := (Node{resolved(item)}).Text(); ok {
			out = append(out, Bounded(s, limit))
		}
	}
	return out
}
