package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/policy/yamlerror"
)

// defaultFile is read when it exists and no other is named.
const defaultFile = "/etc/hermes-reconcile/config.yaml"

// maxFile limits the size of the file, in bytes.
const maxFile = 1 << 20

// File returns the name of the configuration file, which may not exist.
func File(flags *pflag.FlagSet) string {
	given, _ := flags.GetString("config")
	return cmp.Or(given, defaultFile)
}

// addFile adds the configuration file. A wrong key is left out, and is an error: one mistake
// must not cost a boot the rest of the file. The whole file is left out if the user of the
// agents could have written it: the one of the environment, or the one that the file names.
func (l layers) addFile(flags *pflag.FlagSet, environ []string) error {
	defer l.merge()
	given, _ := flags.GetString("config")
	name := File(flags)
	user := cmp.Or(lookup(environ, "HERMES_RECONCILE_USER"), l.merged.String("user"))
	text, err := trust.Read(name, trust.NotByUser(distrusted(flags, user)), maxFile)
	if given == "" && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return refuse(name, err)
	}
	var document yaml.Node
	values := map[string]any{}
	if err = yaml.Unmarshal(text, &document); err == nil && len(document.Content) > 0 {
		err = document.Decode(&values)
	}
	if err != nil {
		return errors.New(yamlerror.Sentence(name, text, err))
	}
	if len(document.Content) == 0 {
		return nil // only comments
	}
	if own, _ := values["user"].(string); own != "" && own != user {
		if _, err := trust.Check(name, trust.NotByUser(distrusted(flags, own))); err != nil {
			return refuse(name, err)
		}
	}
	return errors.Join(l.addObject("", name, document.Content[0], withTextKeys(values).(map[string]any))...)
}

// addObject adds the values of an object of a file, whose keys begin with above.
func (l layers) addObject(above, file string, object *yaml.Node, values map[string]any) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key, value := above+name, values[name]
		place, node := find(object, name, file)
		wrong := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...)))
		}
		_, known := l.keys[key]
		section, below, dotted := strings.Cut(name, ".")
		switch example := l.below(key); {
		case dotted && above == "":
			wrong("the key %q has a dot; write %s below a line with %q", name, below, section+":")
		case value == nil && above != "settings.": // a key or a section without a value
		case known, above == "settings.", above == "labels.":
			if what, err := l.set(key, value, Value{Source: "file", Location: place}); err != nil {
				wrong("%s %w", what, err)
			}
		case example == "":
			wrong("unknown key %q%s", key, suggest.Words(key, Keys()))
		default:
			inner, isObject := value.(map[string]any)
			if !isObject {
				wrong("%s is %v, want keys below it, such as %s", key, value, example)
			}
			errs = append(errs, l.addObject(key+".", file, node, inner)...)
		}
	}
	return errs
}

// find returns the place of a key of an object as file:row:col, and its value. The place of a
// key that comes from elsewhere is the file.
func find(object *yaml.Node, name, file string) (place string, value *yaml.Node) {
	for i := 0; object != nil && i+1 < len(object.Content); i += 2 {
		if key := object.Content[i]; key.Value == name {
			return fmt.Sprintf("%s:%d:%d", file, key.Line, key.Column), object.Content[i+1]
		}
	}
	return file, nil
}

// below returns a key below a section; "" if there is no such section.
func (l layers) below(section string) string {
	if section == "labels" || section == "settings" {
		return section + ".NAME"
	}
	for _, key := range Keys() {
		if strings.HasPrefix(key, section+".") {
			return key
		}
	}
	return ""
}

// withTextKeys makes all keys of the objects of a value texts.
func withTextKeys(value any) any {
	switch value := value.(type) {
	case map[any]any:
		object := map[string]any{}
		for key, inner := range value {
			object[fmt.Sprint(key)] = withTextKeys(inner)
		}
		return object
	case map[string]any:
		for key, inner := range value {
			value[key] = withTextKeys(inner)
		}
	case []any:
		for i, inner := range value {
			value[i] = withTextKeys(inner)
		}
	}
	return value
}

// refuse returns the error about a file that is not used.
func refuse(name string, err error) error {
	if untrusted, ok := errors.AsType[*trust.Error](err); ok {
		return fmt.Errorf("configuration: %s is not used: %w; %s", name, err, untrusted.Mend())
	}
	return fmt.Errorf("configuration: %w", err)
}
