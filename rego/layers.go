package rego

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/policy"
)

// parsed is what the layers hold.
type parsed struct {
	sources  []source
	settings map[string]any
	files    []settings     // of each layer
	operator map[string]any // the settings of the configuration
}

// readLayers parses all layers and lays their settings over each other.
func readLayers(layers []Layer, operator map[string]any) (parsed, error) {
	p := parsed{settings: map[string]any{}}
	var errs []error
	for i, layer := range layers {
		sources, err := parseLayer(i, layer)
		errs = append(errs, err)
		p.sources = append(p.sources, sources...)
		more, err := readLayerSettings(layer)
		errs = append(errs, err)
		p.files = append(p.files, more)
		errs = append(errs, p.lay(more))
	}
	more, err := configured(operator)
	errs = append(errs, err)
	if err == nil {
		errs = append(errs, p.lay(more))
	}
	p.operator = more.values
	return p, errors.Join(errs...)
}

func (p *parsed) lay(more settings) error {
	merged, err := mergeSettings(p.settings, more)
	if err == nil {
		p.settings = merged
	}
	return err
}

// switchOff leaves out the packages that settings.disabled_rules names.
func switchOff(sources []source, settings map[string]any) ([]source, error) {
	off, err := named(sources, settings, "disabled_rules")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(sources, func(s source) bool { return off[packageName(s.module.Package.Path)] }), nil
}

// named reads a setting that lists rule packages, in full or by their last word.
func named(sources []source, settings map[string]any, setting string) (map[string]bool, error) {
	list, _ := settings[setting].([]any)
	if len(list) == 0 {
		return nil, nil
	}
	var names []string
	for _, s := range sources {
		names = append(names, packageName(s.module.Package.Path))
	}
	chosen := map[string]bool{}
	for _, item := range list {
		name := fmt.Sprint(item)
		if !strings.Contains(name, ".") {
			name = "reconcile." + kindRules + "." + name
		}
		if !slices.Contains(names, name) {
			return nil, Errors{{File: "settings", Code: "settings_error", Message: fmt.Sprintf("%s: there is no rule package %q, have %s", setting, item, strings.Join(names, ", "))}}
		}
		chosen[name] = true
	}
	return chosen, nil
}

// status names the layers, and identifies text and settings by a digest, which
// does not depend on where the directories are.
func status(layers []Layer, sources []source, settings map[string]any) policy.Status {
	names := []string{"built-in"}
	for _, layer := range layers[1:] {
		names = append(names, layer.Name)
	}
	digest := sha256.New()
	for _, s := range sources {
		fmt.Fprintf(digest, "%d %s %d\n", s.layer, s.file, len(s.text))
		digest.Write(s.text)
	}
	if text, err := json.Marshal(settings); err == nil { // map keys are sorted
		digest.Write(text)
	}
	return policy.Status{Source: strings.Join(names, ", "), Revision: hex.EncodeToString(digest.Sum(nil))[:12]}
}

// LoadOrFallBack is Load for a boot, which must decide. Where the operator's layers
// or settings cannot be used, it takes the last good copy of both; where there is
// none that can be used, the built-in layer with the settings of the
// configuration; and where those cannot be used either, the built-in layer alone.
// Its Status says so. LastGood returns the copy, and is called only when it is
// needed; ErrNoLastGood says that there is none. The error is that of the built-in
// layer.
func LoadOrFallBack(layers []Layer, o Options, lastGood func() (*LastGood, error)) (*Evaluator, error) {
	e, err := Load(layers, o)
	if err == nil {
		return e, nil
	}
	causes := []error{err}
	last, err := loadLastGood(layers[0], o, lastGood)
	if err == nil {
		return last.insteadOf(causes), nil
	}
	if !errors.Is(err, ErrNoLastGood) {
		causes = append(causes, err)
	}
	fallback, err := Load(layers[:1], o)
	if err != nil && o.Settings != nil {
		o.Settings = nil
		fallback, err = Load(layers[:1], o)
	}
	if err != nil {
		return nil, errors.Join(append(causes, err)...)
	}
	return fallback.insteadOf(causes), nil
}

func loadLastGood(builtIn Layer, o Options, lastGood func() (*LastGood, error)) (*Evaluator, error) {
	if lastGood == nil {
		return nil, ErrNoLastGood
	}
	copied, err := lastGood()
	if err != nil {
		return nil, err
	}
	return copied.Load(builtIn, o)
}

// Load compiles the copy over the built-in layer, with the settings that were
// saved with it rather than those of o. Its Status says that it is a fallback.
func (c *LastGood) Load(builtIn Layer, o Options) (*Evaluator, error) {
	o.Settings = c.settings
	e, err := Load(append([]Layer{builtIn}, c.layers...), o)
	if err != nil {
		return nil, fmt.Errorf("the last good copy, of %s: %w", c.Saved.Format(time.RFC3339), err)
	}
	e.status.Source = "built-in, last good copy of " + c.Saved.Format(time.RFC3339)
	e.status.Fallback = true
	return e, nil
}

func (e *Evaluator) insteadOf(causes []error) *Evaluator {
	e.status.Fallback = true
	e.status.Errors = strings.Split(errors.Join(causes...).Error(), "\n")
	return e
}
