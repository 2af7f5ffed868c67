package rego

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"hermes-reconcile/policy"
)

// Rules are the parsed rules of all layers, with their settings.
type Rules struct {
	Sources []Source // by layer, then by file
	// Settings are those of the layers and of the configuration. Later ones win.
	Settings map[string]any
	operator OperatorFiles
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
// Beside an error, ReadRules returns what it could read.
func ReadRules(layers []Layer, configuration map[string]any) (Rules, error) {
	r := Rules{Settings: map[string]any{}, operator: OperatorFiles{Files: map[string][]byte{}}}
	var errs []error
	for i, layer := range layers {
		sources, err := readLayer(i, layer, isRuleFile)
		errs = append(errs, err)
		r.Sources = append(r.Sources, sources...)
		if len(Untrusted(err)) > 0 {
			continue // nothing of the layer is used, its settings neither
		}
		file, err := readLayerSettings(layer)
		errs = append(errs, err, r.add(file))
		if i > 0 {
			r.operator.add(i, layer, sources, file)
		}
	}
	configured, err := configurationSettings(configuration)
	if err == nil {
		err = r.add(configured)
	}
	r.operator.Settings = configured.values
	return r, errors.Join(append(errs, err)...)
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
func (r Rules) Enabled() ([]Source, error) {
	off, err := r.named("disabled_rules")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(r.Sources), func(s Source) bool { return off[s.Package()] }), nil
}

// named reads a setting that lists rule packages by their full or last names.
func (r Rules) named(setting string) (map[string]bool, error) {
	list, _ := r.Settings[setting].([]any)
	if len(list) == 0 {
		return nil, nil
	}
	var names []string
	for _, s := range r.Sources {
		names = append(names, s.Package())
	}
	chosen := map[string]bool{}
	for _, item := range list {
		name := fmt.Sprint(item)
		if !strings.Contains(name, ".") {
			name = "reconcile." + KindRules + "." + name
		}
		if !slices.Contains(names, name) {
			return nil, Errors{{File: "settings", Code: "settings_error", Message: fmt.Sprintf("%s: there is no rule package %q, have %s", setting, item, strings.Join(names, ", "))}}
		}
		chosen[name] = true
	}
	return chosen, nil
}

// status names the layers. Its revision is a digest of text and settings, which does
// not depend on where the directories are.
func status(layers []Layer, sources []Source, settings map[string]any) policy.Status {
	names := []string{"built-in"}
	for _, layer := range layers[1:] {
		names = append(names, layer.Name)
	}
	digest := sha256.New()
	for _, s := range sources {
		fmt.Fprintf(digest, "%d %s %d\n", s.Layer, s.File, len(s.Text))
		digest.Write(s.Text)
	}
	if text, err := json.Marshal(settings); err == nil { // map keys are sorted
		digest.Write(text)
	}
	return policy.Status{Source: strings.Join(names, ", "), Revision: hex.EncodeToString(digest.Sum(nil))[:12]}
}
