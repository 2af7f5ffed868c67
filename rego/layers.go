package rego

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

// Rules are the parsed rules of all layers, with their settings.
type Rules struct {
	Sources []Source // by layer, then by file
	// Settings are those of the layers and of the configuration. Later ones win.
	Settings map[string]any
	operator OperatorFiles
	unparsed []Source            // files that cannot be used
	from     map[string]settings // what has set each setting
}

// OperatorFiles are the files of the operator's layers as they were read, with the
// settings of the configuration.
type OperatorFiles struct {
	Directories []string
	Files       map[string][]byte // "1/site.rego" is in the first directory
	Settings    map[string]any
}

// ReadRules parses the rule files of all layers and merges their settings. The settings
// of the configuration win. Tests are left out: they must not decide anything at boot.
// Beside an error, ReadRules returns what it could read. A setting with a mistake is left out.
func ReadRules(layers []Layer, configuration map[string]any) (Rules, error) {
	r := Rules{Settings: map[string]any{}, operator: OperatorFiles{Files: map[string][]byte{}}}
	var errs []error
	for i, layer := range layers {
		sources, unparsed, err := readLayer(i, layer, isRuleFile)
		errs = append(errs, err)
		r.Sources, r.unparsed = append(r.Sources, sources...), append(r.unparsed, unparsed...)
		if len(Untrusted(err)) > 0 {
			continue // nothing of the layer is used, its settings neither
		}
		file, err := readLayerSettings(layer)
		errs = append(errs, err, r.add(file))
		if i > 0 {
			r.operator.add(i, layer, slices.Concat(sources, unparsed), file)
		}
	}
	configured, err := configurationSettings(configuration)
	r.operator.Settings = configured.values
	return r, errors.Join(append(errs, err, r.add(configured))...)
}

func (o *OperatorFiles) add(index int, layer Layer, sources []Source, file settings) {
	o.Directories = append(o.Directories, layer.Name)
	for _, s := range sources {
		o.Files[path.Join(strconv.Itoa(index), s.File)] = s.Text
	}
	if file.text != nil {
		o.Files[path.Join(strconv.Itoa(index), SettingsFile)] = file.text
	}
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

// Empty returns the operator's directories that have neither rules nor settings.
func (o OperatorFiles) Empty() []string {
	var empty []string
	for i, name := range o.Directories {
		prefix := strconv.Itoa(i+1) + "/"
		has := func(file string) bool { return strings.HasPrefix(file, prefix) }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(o.Files)), has) {
			empty = append(empty, name)
		}
	}
	return empty
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
	for _, s := range slices.Concat(r.Sources, r.unparsed) {
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
