package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy/trust"
	"hermes-reconcile/policy/yamlerror"
)

// maxFile limits the size of the file, in bytes.
const maxFile = 1 << 20

// File returns the name of the configuration file, which may not exist.
func File(flags *pflag.FlagSet) string {
	given, _ := flags.GetString("config")
	return cmp.Or(given, defaultConfigFile)
}

// loadFile adds the configuration file, and where its keys stand. A wrong
// key is left out, and is an error. So is the whole file if the user of the agents could have
// written it: user, or the one that the file names.
func loadFile(k *koanf.Koanf, flags *pflag.FlagSet, from origins, user string) error {
	given, _ := flags.GetString("config")
	name := File(flags)
	text, err := trust.Read(name, trust.NotByUser(distrusted(flags, user)), maxFile)
	if given == "" && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return refuse(name, err)
	}
	if strings.TrimSpace(string(text)) == "" {
		return nil
	}
	var file yaml.Node
	values := map[string]any{}
	if err = yaml.Unmarshal(text, &file); err == nil && len(file.Content) > 0 {
		err = file.Decode(&values)
	}
	if err != nil {
		return errors.New(yamlerror.Sentence(name, text, err))
	}
	if len(file.Content) == 0 {
		return nil // only comments
	}
	errs := removeDotted(values, file.Content[0], name)
	where := placesOf(file.Content[0], name)
	alone := koanf.New(".")
	if err := alone.Load(confmap.Provider(values, ""), nil); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if own := alone.String("user"); own != "" && own != user {
		if _, err := trust.Check(name, trust.NotByUser(distrusted(flags, own))); err != nil {
			return refuse(name, err)
		}
	}
	for _, key := range alone.Keys() {
		if err := checkKey(alone, key); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", cmp.Or(where.of(key), name), err))
		}
	}
	for key, place := range where {
		if alone.Exists(key) {
			from[key] = Value{Source: "file", Location: place}
		}
	}
	return errors.Join(append(errs, k.Merge(alone))...)
}

// removeDotted removes the keys whose name has a dot, which would otherwise look like those of
// a section. It returns an error for each, with its place in the file.
func removeDotted(values map[string]any, object *yaml.Node, name string) (errs []error) {
	for i := 0; i+1 < len(object.Content); i += 2 {
		key := object.Content[i]
		if section, below, ok := strings.Cut(key.Value, "."); ok {
			errs = append(errs, fmt.Errorf("%s:%d:%d: the key %q has a dot; write %s below a line with %q", name, key.Line, key.Column, key.Value, below, section+":"))
			delete(values, key.Value)
		}
	}
	return errs
}

// refuse returns the error about a file that is not used.
func refuse(name string, err error) error {
	if untrusted, ok := errors.AsType[*trust.Error](err); ok {
		return fmt.Errorf("configuration: %s is not used: %w; %s", name, err, untrusted.Mend())
	}
	return fmt.Errorf("configuration: %w", err)
}

// checkKey checks that a key of the file can be used, and removes it from the file when it
// cannot: one mistake must not cost a boot the rest of the file. A key or a section without
// a value is removed silently.
func checkKey(file *koanf.Koanf, key string) error {
	value := file.Get(key)
	if value == nil && !strings.HasPrefix(key, "settings.") {
		file.Delete(key)
		return nil
	}
	alone := koanf.New(".")
	err := alone.Set(key, value)
	if err == nil {
		err = checkKind(key, value)
	}
	if err == nil && strings.HasPrefix(key, "settings.") {
		if _, unfit := json.Marshal(value); unfit != nil {
			err = fmt.Errorf("%s is %v, want what JSON has: numbers that are finite", key, value)
		}
	}
	if err == nil {
		_, err = decode(alone)
	}
	if err == nil {
		err = validate(alone)
	}
	if err != nil {
		file.Delete(key)
	}
	return err
}

// checkKind checks that a value has the kind of its default. Durations and sizes are
// checked by their decode hooks.
func checkKind(key string, value any) error {
	standard, known := defaults()[key]
	if strings.HasPrefix(key, "labels.") {
		standard, known = "", true
	}
	if text, isText := standard.(string); isText && checkUnit(text, "") != nil {
		return nil
	}
	if above := key[:max(0, strings.LastIndexByte(key, '.'))]; !known && slices.Contains(Keys(), above) {
		return fmt.Errorf("%s is an object, want %s", above, kindOf(defaults()[above]))
	}
	if !known {
		for _, below := range Keys() {
			if strings.HasPrefix(below, key+".") {
				return fmt.Errorf("%s is %v, want keys below it, such as %s", key, value, below)
			}
		}
		return nil // decode knows the keys
	}
	list, isList := value.([]any)
	switch have, want := kindOf(value), kindOf(standard); {
	case have == want, isList && len(list) == 0 && strings.HasPrefix(want, "a list"):
	case want == "a list of objects": // with secrets, perhaps
		return fmt.Errorf("%s is %s, want %s", key, have, want)
	default:
		return fmt.Errorf("%s is %v, want %s", key, value, want)
	}
	return nil
}

func kindOf(value any) string {
	switch value := value.(type) {
	case bool:
		return "true or false"
	case int:
		return "a whole number"
	case []string:
		return "a list of strings"
	case []map[string]any:
		return "a list of objects"
	case []any:
		if len(value) > 0 && !slices.ContainsFunc(value, func(item any) bool { return kindOf(item) != "an object" }) {
			return "a list of objects"
		}
		if slices.ContainsFunc(value, func(item any) bool { return kindOf(item) != "a text" }) {
			return "a list"
		}
		return "a list of strings"
	case map[string]any:
		return "an object"
	case string:
		return "a text"
	}
	return "something else"
}
