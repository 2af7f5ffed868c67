// Package config reads the configuration: defaults < file < environment < flags. It is
// strict: an unknown key, a value of the wrong type or an unknown word is an error that
// names where it stands and what would have been right.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"hermes-reconcile/policy/suggest"
)

// The places that are used when they exist and nothing else is configured.
const (
	defaultConfigFile = "/etc/hermes-reconcile/config.yaml"
	defaultPolicyDir  = "/etc/hermes-reconcile/policy"
	defaultFactsDir   = "/etc/hermes-reconcile/facts.d"
	defaultStateDir   = "/var/lib/hermes-reconcile"
)

// A Config is the configuration.
type Config struct {
	Home          string         `koanf:"home"`
	ScanDir       string         `koanf:"scandir"`
	Policy        []string       `koanf:"policy"`
	PolicyTimeout time.Duration  `koanf:"policy_timeout"`
	PolicyMemory  ByteSize       `koanf:"policy_memory"`
	StateDir      string         `koanf:"state_dir"`
	OnRuleError   string         `koanf:"on_rule_error"`
	Settings      map[string]any `koanf:"settings"`
	Output        string         `koanf:"output"`
	LogLevel      string         `koanf:"log_level"`
	LogFormat     string         `koanf:"log_format"`
	User          string         `koanf:"user"`
	Facts         struct {
		Dir             string        `koanf:"dir"`
		Timeout         time.Duration `koanf:"timeout"`
		SourceTimeout   time.Duration `koanf:"source_timeout"`
		ExternalTimeout time.Duration `koanf:"external_timeout"`
		OperatorFiles   []string      `koanf:"operator_files"`
	} `koanf:"facts"`
	Boot struct {
		Deadline time.Duration `koanf:"deadline"`
		Strict   bool          `koanf:"strict"`
		Rescan   string        `koanf:"rescan"`
	} `koanf:"boot"`
	S6 struct {
		Ownership string `koanf:"ownership"`
		Capacity  int    `koanf:"capacity"`
		Tools     string `koanf:"tools"`
		Shell     string `koanf:"shell"`
		Program   string `koanf:"program"`
	} `koanf:"s6"`
	Gateway struct {
		Command []string `koanf:"command"`
		Args    []string `koanf:"args"`
	} `koanf:"gateway"`
}

// defaults has every key, and by its value the type of the key.
func defaults() map[string]any {
	return map[string]any{
		"home":                   "/opt/data",
		"scandir":                "/run/service",
		"policy":                 existing(defaultPolicyDir),
		"policy_timeout":         "2s",
		"policy_memory":          "256MiB",
		"state_dir":              defaultStateDir,
		"on_rule_error":          "hold",
		"settings":               map[string]any{},
		"output":                 "table",
		"log_level":              "info",
		"log_format":             "auto",
		"user":                   "hermes",
		"facts.dir":              defaultFactsDir,
		"facts.timeout":          "10s",
		"facts.source_timeout":   "3s",
		"facts.external_timeout": "2s",
		"facts.operator_files":   []string{},
		"boot.deadline":          "30s",
		"boot.strict":            false,
		"boot.rescan":            "never",
		"s6.ownership":           "strict",
		"s6.capacity":            -1,
		"s6.tools":               "",
		"s6.shell":               "",
		"s6.program":             "",
		"gateway.command":        []string{"hermes"},
		"gateway.args":           []string{"gateway", "run", "--replace"},
	}
}

func existing(dir string) []string {
	if _, err := os.Stat(dir); err != nil {
		return []string{}
	}
	return []string{dir}
}

// choices are the keys whose value is one of a few words.
var choices = map[string][]string{
	"on_rule_error": {"hold", "ignore"},
	"output":        {"table", "json", "yaml"},
	"log_level":     {"debug", "info", "warn", "error"},
	"log_format":    {"auto", "text", "json"},
	"boot.rescan":   {"never", "now"},
	"s6.ownership":  {"strict", "upstream"},
}

// flagKeys maps flags to the key that each sets. All other flags belong to one command.
var flagKeys = map[string]string{
	"home": "home", "scandir": "scandir", "policy": "policy", "output": "output",
	"log-level": "log_level", "log-format": "log_format",
	"strict": "boot.strict", "rescan": "boot.rescan", "deadline": "boot.deadline",
}

// AddFlags adds the flags that every command has.
func AddFlags(flags *pflag.FlagSet) {
	flags.String("home", "", "the home on the volume (HERMES_HOME, default /opt/data)")
	flags.String("scandir", "", "the scan directory of s6 (S6_PROFILE_GATEWAY_SCANDIR, default /run/service)")
	flags.StringArray("policy", nil, "directory of rule packages, may be given several times (default "+defaultPolicyDir+" where it exists)")
	flags.String("config", "", "configuration file (default "+defaultConfigFile+" where it exists)")
	flags.StringP("output", "o", "", "table, json or yaml (default table)")
	flags.String("log-level", "", "debug, info, warn or error (default info)")
	flags.String("log-format", "", "auto, text or json (default auto: text on a terminal)")
}

// Load reads the configuration. Everything that is wrong is one error.
func Load(flags *pflag.FlagSet, environ []string) (Config, error) {
	c, wrong, err := Read(flags, environ)
	return c, errors.Join(wrong, err)
}

// Read reads as much of the configuration as can be used: a wrong key of the file and a
// wrong variable are left out, and wrong reports them. The error is about the command
// line.
func Read(flags *pflag.FlagSet, environ []string) (c Config, wrong, err error) {
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(defaults(), "."), nil); err != nil {
		return Config{}, nil, err
	}
	fileErr := loadFile(k, flags)
	environmentErr := loadEnvironment(k, environ)
	c, err = finish(k, flags)
	if err != nil {
		return c, errors.Join(fileErr, environmentErr), err
	}
	return c, errors.Join(fileErr, environmentErr, checkTimeouts(&c)), nil
}

// PolicyWithoutFlags returns the directories of rules without those of the command line.
func PolicyWithoutFlags(flags *pflag.FlagSet, environ []string) ([]string, error) {
	without := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(without)
	if file := flags.Lookup("config"); file.Changed {
		if err := without.Set("config", file.Value.String()); err != nil {
			return nil, err
		}
	}
	c, err := Load(without, environ)
	return c.Policy, err
}

// finish adds the flags, decodes and validates.
func finish(k *koanf.Koanf, flags *pflag.FlagSet) (Config, error) {
	provider := posflag.ProviderWithFlag(flags, ".", nil, func(f *pflag.Flag) (string, any) {
		key, ok := flagKeys[f.Name]
		if !ok || !f.Changed {
			return "", nil
		}
		return key, posflag.FlagVal(flags, f)
	})
	if err := k.Load(provider, nil); err != nil {
		return Config{}, err
	}
	if err := validate(k); err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	c, err := decode(k)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, nil
}

// checkKind checks that a value has the kind of its default. Durations and sizes are
// checked by their decode hooks.
func checkKind(key string, value any) error {
	standard, known := defaults()[key]
	if text, isText := standard.(string); isText && checkUnit(text, "") != nil {
		return nil
	}
	if !known {
		for _, below := range Keys() {
			if strings.HasPrefix(below, key+".") {
				return fmt.Errorf("%s is %v, want keys below it, such as %s", key, value, below)
			}
		}
		return nil // decode knows the keys
	}
	if have, want := kindOf(value), kindOf(standard); have != want {
		return fmt.Errorf("%s is %v, want %s", key, value, want)
	}
	return nil
}

func kindOf(value any) string {
	switch value.(type) {
	case bool:
		return "true or false"
	case int:
		return "a whole number"
	case []string, []any:
		return "a list"
	case map[string]any:
		return "an object"
	case string:
		return "a text"
	}
	return "something else"
}

// checkTimeouts checks two keys that belong together, and replaces the one that does not
// fit.
func checkTimeouts(c *Config) error {
	if c.Facts.ExternalTimeout < c.Facts.SourceTimeout {
		return nil
	}
	err := fmt.Errorf("configuration: facts.external_timeout is %s, want less than facts.source_timeout, which is %s and waits for all of them",
		c.Facts.ExternalTimeout, c.Facts.SourceTimeout)
	c.Facts.ExternalTimeout = c.Facts.SourceTimeout / 2
	return err
}

func loadFile(k *koanf.Koanf, flags *pflag.FlagSet) error {
	name, _ := flags.GetString("config")
	text, err := os.ReadFile(cmp.Or(name, defaultConfigFile))
	if name == "" && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	name = cmp.Or(name, defaultConfigFile)
	if strings.TrimSpace(string(text)) == "" {
		return nil
	}
	alone := koanf.New(".")
	if err := alone.Load(rawbytes.Provider(text), yaml.Parser()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var errs []error
	for _, key := range alone.Keys() {
		if err := checkKey(alone, key); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(append(errs, k.Merge(alone))...)
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

// decode fills a Config. An unknown key, a value of another type and a duration without a
// unit are errors.
func decode(k *koanf.Koanf) (Config, error) {
	var c Config
	var metadata mapstructure.Metadata
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Metadata: &metadata, TagName: "koanf",
		DecodeHook: mapstructure.ComposeDecodeHookFunc(durations, sizes),
	}})
	if err != nil {
		return c, plainDecodeError(err)
	}
	if len(metadata.Unused) > 0 {
		slices.Sort(metadata.Unused)
		return c, fmt.Errorf("unknown key %q%s", metadata.Unused[0], suggest.Words(metadata.Unused[0], Keys()))
	}
	return c, nil
}

func plainDecodeError(err error) error {
	return errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "decoding failed due to the following error(s):\n\n"), "\n", "; "))
}

// validate checks what types cannot express.
func validate(k *koanf.Koanf) error {
	for key, words := range choices {
		if k.Exists(key) && !slices.Contains(words, k.String(key)) {
			return fmt.Errorf("%s is %q, have %s", key, k.String(key), strings.Join(words, ", "))
		}
	}
	if err := checkCapacity(k.Int("s6.capacity")); err != nil {
		return fmt.Errorf("s6.capacity is %w", err)
	}
	for _, key := range []string{"home", "scandir"} {
		if !k.Exists(key) {
			continue
		}
		path, err := filepath.Abs(k.String(key))
		if err != nil || k.String(key) == "" {
			return fmt.Errorf("%s is %q, want a directory", key, k.String(key))
		}
		if err := k.Set(key, path); err != nil {
			return err
		}
	}
	return nil
}

// checkCapacity checks the range of s6.capacity, the only whole number.
func checkCapacity(n int) error {
	if n < -1 {
		return fmt.Errorf("%d, want a number of slots, 0 for no limit, or -1 to find out", n)
	}
	return nil
}

// upstreamVariables are the variables of hermes-agent itself.
func upstreamVariables(environ []string) map[string]any {
	found := map[string]any{}
	for name, key := range map[string]string{"HERMES_HOME": "home", "S6_PROFILE_GATEWAY_SCANDIR": "scandir"} {
		if value := lookup(environ, name); value != "" {
			found[key] = value
		}
	}
	return found
}

// factPrefix begins the variables that are facts for rules, not configuration.
const factPrefix = "HERMES_RECONCILE_FACT_"

// loadEnvironment reads HERMES_RECONCILE_<KEY>. "__" stands for the dot of a nested key, a
// comma separates the items of a list, and an empty variable counts as unset.
func loadEnvironment(k *koanf.Koanf, environ []string) error {
	if err := k.Load(confmap.Provider(upstreamVariables(environ), "."), nil); err != nil {
		return err
	}
	const prefix = "HERMES_RECONCILE_"
	var errs []error
	err := k.Load(env.Provider(".", env.Opt{
		Prefix:      prefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			if value == "" || strings.HasPrefix(name, factPrefix) || name == "HERMES_RECONCILE_PROFILES" {
				return "", nil
			}
			key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "__", ".")
			typed, err := environmentValue(key, value)
			if err != nil {
				errs = append(errs, fmt.Errorf("environment: %s: %w", name, err))
				return "", nil
			}
			return key, typed
		},
	}), nil)
	return errors.Join(append(errs, err)...)
}

// environmentValue converts the text of a variable to the type of its key.
func environmentValue(key, value string) (any, error) {
	if words, ok := choices[key]; ok && !slices.Contains(words, value) {
		return nil, fmt.Errorf("%q is none of %s", value, strings.Join(words, ", "))
	}
	switch standard := defaults()[key].(type) {
	case string:
		return value, checkUnit(standard, value)
	case bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("%q is not true or false", value)
		}
		return b, nil
	case int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", value)
		}
		return n, checkCapacity(n)
	case []string:
		return strings.Split(value, ","), nil
	}
	return nil, fmt.Errorf("no such key as %q%s", key, suggest.Words(key, Keys()))
}

// Keys returns the names of all keys, sorted.
func Keys() []string {
	var names []string
	for key, value := range defaults() {
		if _, isMap := value.(map[string]any); !isMap {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return names
}

func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
