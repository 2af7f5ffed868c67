package facts

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy"
)

// A configFile is the config.yaml of a profile. It is kept as nodes, and values
// are looked up one by one: upstream's YAML lets the last of two equal keys win
// and knows more words for true and false than this one.
type configFile struct {
	outcome
	root *yaml.Node
}

// readConfig reads config.yaml, once for all sources of a profile.
func readConfig(dir policy.Directory) configFile {
	return remember(dir, "config.yaml", func() configFile {
		data, out := readFile(dir, "config.yaml", maxConfig)
		if out.Status != "" {
			return configFile{outcome: out}
		}
		return parseConfig(data)
	})
}

func parseConfig(data []byte) (c configFile) {
	defer func() {
		if recover() != nil { // the parser gave up on purpose
			c = configFile{outcome: invalid("not YAML")}
		}
	}()
	data = withoutBOM(data)
	if !utf8.Valid(data) {
		return configFile{outcome: invalid("not UTF-8")}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return configFile{outcome: invalid("%s", yamlProblem(err))}
	}
	if document.Kind == 0 || len(document.Content) == 0 {
		return configFile{outcome: outcome{Status: policy.StatusEmpty}}
	}
	root := resolved(document.Content[0])
	switch {
	case root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
		return configFile{outcome: outcome{Status: policy.StatusEmpty}}
	case root.Kind != yaml.MappingNode:
		return configFile{outcome: invalid("no mapping at the top, want keys with values")}
	}
	return configFile{recorded, root}
}

// yamlProblem keeps of an error where it is; its text may quote the file.
func yamlProblem(err error) string {
	_, rest, found := strings.Cut(err.Error(), "line ")
	line, _, _ := strings.Cut(rest, ":")
	if n, convErr := strconv.Atoi(line); found && convErr == nil {
		return "not YAML at line " + strconv.Itoa(n)
	}
	return "not YAML"
}

// at returns what the keys lead to, or nil.
func (c configFile) at(keys ...string) *yaml.Node {
	node := c.root
	for _, key := range keys {
		node = child(node, key, 0)
	}
	return node
}

// child looks a key up in a mapping, also in those that it merges with <<.
func child(node *yaml.Node, key string, depth int) *yaml.Node {
	node = resolved(node)
	if node == nil || node.Kind != yaml.MappingNode || depth > 4 {
		return nil
	}
	var merged *yaml.Node
	for i := len(node.Content) - 2; i >= 0; i -= 2 {
		if node.Content[i].Kind != yaml.ScalarNode {
			continue
		}
		switch node.Content[i].Value {
		case key:
			return resolved(node.Content[i+1])
		case "<<":
			merged = resolved(node.Content[i+1])
		}
	}
	if merged != nil && merged.Kind == yaml.SequenceNode {
		for _, part := range merged.Content[:min(len(merged.Content), 8)] {
			if found := child(part, key, depth+1); found != nil {
				return found
			}
		}
		return nil
	}
	return child(merged, key, depth+1)
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

// keysOf returns the keys of a mapping, sorted, each once, at most limit.
func keysOf(node *yaml.Node, limit int) []string {
	node = resolved(node)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	var keys []string
	for i := 0; i+1 < len(node.Content) && len(keys) < limit; i += 2 {
		if key := node.Content[i]; key.Kind == yaml.ScalarNode && len(key.Value) <= 128 {
			keys = append(keys, key.Value)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// scalar returns the text of a value, and whether it is one that is not null.
func scalar(node *yaml.Node) (string, bool) {
	if node == nil || node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null" {
		return "", false
	}
	return node.Value, true
}

// boolOf reads a switch. Upstream takes the same words quoted and bare.
func boolOf(node *yaml.Node) (on, ok bool) {
	s, ok := scalar(node)
	if !ok {
		return false, false
	}
	word, _ := parseSwitch(s)
	if word == nil {
		return false, false
	}
	return *word, true
}

func intOf(node *yaml.Node) (int, bool) {
	s, ok := scalar(node)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(s))
	return n, err == nil
}

// textsOf reads a list of strings, or one string.
func textsOf(node *yaml.Node, count, limit int) []string {
	if s, ok := scalar(node); ok {
		return []string{bounded(s, limit)}
	}
	if node == nil || node.Kind != yaml.SequenceNode {
		return nil
	}
	out := []string{}
	for _, item := range node.Content[:min(len(node.Content), count)] {
		if s, ok := scalar(resolved(item)); ok {
			out = append(out, bounded(s, limit))
		}
	}
	return out
}
