package rego

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

// Rules are the parsed rules of all layers, with their settings.
type Rules struct {
	Sources []Source // by layer, then by file
	// Settings are those of the layers and of the configuration. Later ones win.
	Settings map[string]any
	operator Operator
	from     map[string]settings // what has set each setting
}

// An Operator is what the operator wrote, as it was read: layers, and the settings of the
// configuration.
type Operator struct {
	Layers   []LayerText `json:"layers"`
	Settings Values      `json:"settings"`
}

// A LayerText has the files of rules and settings of a layer.
type LayerText struct {
	Name  string            `json:"name"`
	Files map[string][]byte `json:"files"`
}

// ReadRules parses the rule files of all layers and merges their settings. The settings
// of the configuration win. Tests are left out: they must not decide anything at boot.
// Beside an error, which is an Errors, ReadRules returns what it could read. A setting with a
// mistake is left out.
func ReadRules(layers []Layer, configuration map[string]any) (Rules, error) {
	r, errs := readRules(layers, configuration)
	r.Sources = parsed(r.Sources)
	return r, errs.OrNil()
}

// readRules does the same, and also returns the files that cannot be parsed.
func readRules(layers []Layer, configuration map[string]any) (r Rules, errs Errors) {
	r.Settings = map[string]any{}
	for i, layer := range layers {
		sources, wrong := readLayer(i, layer, isRuleFile)
		r.Sources, errs = append(r.Sources, sources...), append(errs, wrong...)
		if len(Untrusted(wrong)) > 0 {
			continue // nothing of the layer is used, its settings neither
		}
		file, wrong := readLayerSettings(layer)
		errs = slices.Concat(errs, wrong, r.add(file))
		if i > 0 {
			r.operator.Layers = append(r.operator.Layers, textOf(layer, sources, file))
		}
	}
	configured := configurationSettings(configuration)
	r.operator.Settings = configured.values
	return r, slices.Concat(errs, configured.unused, r.add(configured))
}

func textOf(layer Layer, sources []Source, file settings) LayerText {
	text := LayerText{Name: layer.Name, Files: map[string][]byte{}}
	for _, s := range sources {
		text.Files[s.File] = s.Text
	}
	if file.text != nil {
		text.Files[SettingsFile] = file.text
	}
	return text
}

// Enabled returns the sources without the packages that settings.disabled_rules names.
// Beside an error, a name that is no package's is left out.
func (r Rules) Enabled() ([]Source, error) {
	off, errs := r.named("disabled_rules")
	return enabled(r.Sources, off), errs.OrNil()
}

func enabled(sources []Source, off map[string]bool) []Source {
	return slices.DeleteFunc(slices.Clone(sources), func(s Source) bool { return off[s.Package()] })
}

// Directories names the layers with rules or settings, and those that have neither.
func (o Operator) Directories() (full, empty []string) {
	for _, layer := range o.Layers {
		if len(layer.Files) > 0 {
			full = append(full, layer.Name)
		} else {
			empty = append(empty, layer.Name)
		}
	}
	return full, empty
}

// Place returns the file and the row of a setting. The row is 0 for one of the configuration.
func (r Rules) Place(setting string) (file string, row int) {
	from := r.from[setting]
	if node := from.keys[setting]; node != nil {
		row = node.Line
	}
	return from.name, row
}

// named reads a setting that lists rule packages by their full or last names.
func (r Rules) named(setting string) (chosen map[string]bool, errs Errors) {
	list, _ := r.Settings[setting].([]any)
	if len(list) == 0 {
		return nil, nil
	}
	var names []string
	for _, s := range r.Sources {
		names = append(names, s.Package())
	}
	chosen = map[string]bool{}
	for i, item := range list {
		name := fmt.Sprint(item)
		if !strings.Contains(name, ".") {
			name = "reconcile." + KindRules + "." + name
		}
		if !slices.Contains(names, name) {
			from := r.from[setting]
			errs = append(errs, from.wrong(setting, below(from.nodes[setting], i), "%s: there is no rule package %q%s", setting, item, suggest.Words(name, names)))
			continue
		}
		chosen[name] = true
	}
	return chosen, errs
}

// status names the layers. Its revision is a digest of text and settings, which does
// not depend on where the directories are.
func status(layers []Layer, sources []Source, settings map[string]any) policy.Status {
	names := []string{"built-in"}
	var bundles []policy.Bundle
	for _, layer := range layers[1:] {
		names = append(names, layer.Name)
		if layer.Bundle != nil {
			bundles = append(bundles, *layer.Bundle)
		}
	}
	digest := sha256.New()
	for _, s := range sources {
		fmt.Fprintf(digest, "%d %s %d\n", s.Layer, s.File, len(s.Text))
		digest.Write(s.Text)
	}
	if text, err := json.Marshal(settings); err == nil { // map keys are sorted
		digest.Write(text)
	}
	return policy.Status{Source: strings.Join(names, ", "), Revision: hex.EncodeToString(digest.Sum(nil))[:12], Bundles: bundles}
}
