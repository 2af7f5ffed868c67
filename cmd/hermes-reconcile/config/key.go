package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"

	"hermes-reconcile/policy"
)

// A key is one that the configuration can set.
type key struct {
	name     string
	field    reflect.Value // of a Config
	standard string        // as a variable has it
	flag     string        // that sets it, or empty
	words    []string      // its value is one of them; empty: any
}

// keysOf are the keys of a configuration but labels.NAME and settings.NAME.
func keysOf(c *Config) []key { return keysBelow("", reflect.ValueOf(c).Elem()) }

func keysBelow(above string, part reflect.Value) (all []key) {
	for field, value := range part.Fields() {
		name, isKey := field.Tag.Lookup("config")
		switch {
		case !isKey:
		case value.Kind() == reflect.Struct:
			all = append(all, keysBelow(above+name+".", value)...)
		default:
			all = append(all, key{above + name, value, field.Tag.Get("default"), field.Tag.Get("flag"), strings.Fields(field.Tag.Get("words"))})
		}
	}
	return all
}

// Keys returns the names of all keys, sorted, but labels.NAME and settings.NAME.
func Keys() []string {
	var names []string
	for _, k := range keysOf(&Config{}) {
		names = append(names, k.name)
	}
	slices.Sort(names)
	return names
}

// fromText is the value that the text of a variable stands for.
func (k key) fromText(text string) (any, error) {
	switch k.field.Interface().(type) {
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not true or false", text)
		}
		return b, nil
	case int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", text)
		}
		return n, nil
	case string, time.Duration, ByteSize:
		if !k.takes(text) {
			return nil, fmt.Errorf("%q is none of %s", text, strings.Join(k.words, ", "))
		}
		return text, nil
	}
	_, isTexts := k.field.Interface().([]string)
	switch {
	case text == "":
		return []any{}, nil
	case isTexts:
		return strings.Split(text, ","), nil
	}
	return nil, errors.New("its items have parts; write them in the configuration file")
}

// A ByteSize is a number of bytes, with a unit in the configuration.
type ByteSize int64

// typed returns a value as the field has it. An error is about what.
func (k key) typed(value any) (result reflect.Value, what string, err error) {
	typed := reflect.New(k.field.Type())
	what = k.name + " is"
	switch field := typed.Interface().(type) {
	case *time.Duration:
		what = k.name + ":"
		*field, err = duration(value)
	case *ByteSize:
		what = k.name + ":"
		*field, err = size(value)
	case *string:
		err = take(field, value, "a text")
	case *bool:
		err = take(field, value, "true or false")
	case *int:
		err = take(field, value, "a whole number")
	case *[]string:
		if _, isTexts := value.([]string); !isTexts && !isListOf[string](value) {
			return result, what, fmt.Errorf("%s, want a list of strings", shown(value))
		}
		err = mapstructure.Decode(value, field)
	default:
		what, err = decode(k.name, field, value)
	}
	if err == nil {
		what, err = k.check(typed.Elem().Interface())
	}
	return typed.Elem(), what, err
}

// check checks what the type cannot express. An error is about what, and begins with the value.
func (k key) check(value any) (what string, err error) {
	text, _ := value.(string)
	switch k.name {
	case "home", "scandir":
		if text == "" {
			err = errors.New(`"", want a directory`)
		}
	case "watch.listen":
		err = checkListen(text)
	case "watch.max_stops":
		err = checkNumber(value.(int), "a number of gateways, or -1 for half of those that run, at least 2")
	case "s6.capacity":
		err = checkNumber(value.(int), "a number of slots, 0 for no limit, or -1 to find out")
	case "decision_log.file":
		if text != "" && !filepath.IsAbs(text) {
			err = fmt.Errorf("%q, want a path from /", text)
		}
	case "decision_log.url":
		err = checkCollector(text)
	case "facts.config_keys":
		return k.name + " has", checkConfigKeys(value.([]string))
	case "bundles.rollout.soak":
		return "bundles.rollout:", policy.Rollout{Soak: text}.Check()
	case "bundles.rollout.steps":
		return "bundles.rollout:", policy.Rollout{Steps: value.([]policy.RolloutStep)}.Check()
	}
	if !k.takes(text) {
		err = fmt.Errorf("%q, have %s", text, strings.Join(k.words, ", "))
	}
	return k.name + " is", err
}

// takes reports whether a text is one of the words of a key.
func (k key) takes(text string) bool { return len(k.words) == 0 || slices.Contains(k.words, text) }

// take takes a value of the type that a field has.
func take[T any](field *T, value any, want string) error {
	typed, ok := value.(T)
	if !ok {
		return fmt.Errorf("%s, want %s", shown(value), want)
	}
	*field = typed
	return nil
}

// shown is a value in an error. What is below an object may be long, or a secret.
func shown(value any) string {
	if _, isObject := value.(map[string]any); isObject {
		return "an object"
	}
	return fmt.Sprint(value)
}

// isListOf reports whether a value of the file is a list whose items have a type.
func isListOf[T any](value any) bool {
	list, isList := value.([]any)
	return isList && !slices.ContainsFunc(list, func(item any) bool {
		_, is := item.(T)
		return !is
	})
}

// decode fills a field with a list of objects. No error has a value: one may be a secret.
func decode(name string, field, value any) (what string, err error) {
	if !isListOf[map[string]any](value) {
		return name + " is", errors.New("something else, want a list of objects")
	}
	var metadata mapstructure.Metadata
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: field, Metadata: &metadata, TagName: "config"})
	if err == nil {
		err = decoder.Decode(value)
	}
	if wrong, ok := errors.AsType[*mapstructure.DecodeError](err); ok {
		return name + wrong.Name() + ":", wrong.Unwrap()
	}
	if err == nil && len(metadata.Unused) > 0 {
		return "unknown key", fmt.Errorf("%q", name+slices.Min(metadata.Unused))
	}
	return name + ":", err
}

// duration takes "2s" and refuses 2, which would be nanoseconds.
func duration(value any) (time.Duration, error) {
	text, isText := value.(string)
	if !isText {
		return 0, fmt.Errorf("%s is not a duration, want one with a unit, such as 2s", shown(value))
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a duration above 0, want one with a unit, such as 2s", text)
	}
	return d, nil
}

// size takes "256MiB" and refuses 256, which could be anything.
func size(value any) (ByteSize, error) {
	text, _ := value.(string)
	for unit, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		number, ok := strings.CutSuffix(text, unit)
		if n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32); ok && err == nil && n > 0 {
			return ByteSize(n * bytes), nil
		}
	}
	return 0, fmt.Errorf("%s is not a size, want one with a unit, such as 256MiB", shown(value))
}
