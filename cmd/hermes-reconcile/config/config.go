// Package config reads the configuration: defaults < file < environment < flags. It is
// strict: an unknown key, a value of the wrong type or an unknown word is an error that
// names where it stands and what would have been right.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego/fetch"
)

// The places that are used when they exist and nothing else is configured.
const (
	defaultConfigFile = "/etc/hermes-reconcile/config.yaml"
	defaultPolicyDir  = "/etc/hermes-reconcile/policy"
	defaultFactsDir   = "/etc/hermes-reconcile/facts.d"
	defaultStateDir   = "/var/lib/hermes-reconcile"
	defaultRunDir     = "/run/hermes-reconcile"
)

// A Config is the configuration.
type Config struct {
	Home          string             `koanf:"home"`
	ScanDir       string             `koanf:"scandir"`
	Policy        []string           `koanf:"policy"`
	PolicyTimeout time.Duration      `koanf:"policy_timeout"`
	PolicyMemory  ByteSize           `koanf:"policy_memory"`
	StateDir      string             `koanf:"state_dir"`
	PolicyKeys    []policy.BundleKey `koanf:"policy_keys"`
	// RequireSignature is also set when there are keys and the configuration says nothing.
	RequireSignature bool              `koanf:"require_signature"`
	RunDir           string            `koanf:"run_dir"`
	OnRuleError      string            `koanf:"on_rule_error"`
	Labels           map[string]string `koanf:"labels"`
	Settings         map[string]any    `koanf:"settings"`
	Output           string            `koanf:"output"`
	LogLevel         string            `koanf:"log_level"`
	LogFormat        string            `koanf:"log_format"`
	User             string            `koanf:"user"`
	Distrusted       string            `koanf:"-"` // the user whose rules are not believed
	// SettingPlaces are file:row:col of the settings in the file.
	SettingPlaces map[string]string `koanf:"-"`
	Facts         struct {
		Dir             string        `koanf:"dir"`
		User            string        `koanf:"user"`
		Timeout         time.Duration `koanf:"timeout"`
		SourceTimeout   time.Duration `koanf:"source_timeout"`
		ExternalTimeout time.Duration `koanf:"external_timeout"`
		OperatorFiles   []string      `koanf:"operator_files"`
		ConfigKeys      []string      `koanf:"config_keys"`
	} `koanf:"facts"`
	Boot struct {
		Deadline time.Duration `koanf:"deadline"`
		Strict   bool          `koanf:"strict"`
		Rescan   string        `koanf:"rescan"`
	} `koanf:"boot"`
	Watch struct {
		Enabled  bool          `koanf:"enabled"`
		Debounce time.Duration `koanf:"debounce"`
		Resync   time.Duration `koanf:"resync"`
		MaxStops int           `koanf:"max_stops"`
		Listen   string        `koanf:"listen"`
	} `koanf:"watch"`
	DecisionLog struct {
		Console  bool     `koanf:"console"`
		File     string   `koanf:"file"`
		FileSize ByteSize `koanf:"file_size"`
		URL      string   `koanf:"url"`
		Buffer   ByteSize `koanf:"buffer"`
		Input    string   `koanf:"input"`
	} `koanf:"decision_log"`
	Bundles struct {
		BootWait time.Duration   `koanf:"boot_wait"`
		PollMin  time.Duration   `koanf:"poll_min"`
		PollMax  time.Duration   `koanf:"poll_max"`
		MaxBytes ByteSize        `koanf:"max_bytes"`
		HTTP     bool            `koanf:"http"`
		Rollout  policy.Rollout  `koanf:"rollout"`
		Services []fetch.Service `koanf:"services"`
	} `koanf:"bundles"`
	S6 struct {
		Ownership string `koanf:"ownership"`
		Capacity  int    `koanf:"capacity"`
		Program   string `koanf:"program"`
		Stderr    string `koanf:"stderr"`
	} `koanf:"s6"`
	Gateway struct {
		Command []string `koanf:"command"`
		Args    []string `koanf:"args"`
	} `koanf:"gateway"`

	// Given are the flags of the command line that every command has, without --output, for
	// the service. Their paths are absolute.
	Given []string `koanf:"-"`
	// Ignored says which variables look like keys and are none.
	Ignored []string `koanf:"-"`
}

// LogsDecisions reports whether there is a decision log.
func (c Config) LogsDecisions() bool {
	return c.DecisionLog.Console || c.DecisionLog.File != "" || c.DecisionLog.URL != ""
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
		"run_dir":                defaultRunDir,
		"on_rule_error":          "hold",
		"labels":                 map[string]any{},
		"settings":               map[string]any{},
		"output":                 "table",
		"log_level":              "info",
		"log_format":             "auto",
		"user":                   "hermes",
		"facts.dir":              defaultFactsDir,
		"facts.user":             "",
		"facts.timeout":          "10s",
		"facts.source_timeout":   "3s",
		"facts.external_timeout": "2s",
		"facts.operator_files":   []string{},
		"facts.config_keys":      []string{},
		"boot.deadline":          "30s",
		"boot.strict":            false,
		"boot.rescan":            "never",
		"watch.enabled":          true,
		"watch.debounce":         "200ms",
		"watch.resync":           "60s",
		"watch.max_stops":        -1,
		"watch.listen":           "",
		"decision_log.console":   false,
		"decision_log.file":      "",
		"decision_log.file_size": "16MiB",
		"decision_log.url":       "",
		"decision_log.buffer":    "16MiB",
		"decision_log.input":     "digest",
		"policy_keys":            []map[string]any{},
		"require_signature":      true,
		"bundles.boot_wait":      "3s",
		"bundles.poll_min":       "60s",
		"bundles.poll_max":       "120s",
		"bundles.max_bytes":      "4MiB",
		"bundles.http":           false,
		"bundles.services":       []map[string]any{},
		"bundles.rollout.steps":  []map[string]any{},
		"bundles.rollout.soak":   "",
		"s6.ownership":           "strict",
		"s6.capacity":            -1,
		"s6.program":             "",
		"s6.stderr":              "log",
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
	"on_rule_error":      {"hold", "ignore"},
	"output":             {"table", "json", "yaml"},
	"log_level":          {"debug", "info", "warn", "error"},
	"log_format":         {"auto", "text", "json"},
	"boot.rescan":        {"never", "now"},
	"decision_log.input": {"digest", "masked"},
	"s6.ownership":       {"strict", "upstream"},
	"s6.stderr":          {"log", "container"},
}

// flagKeys maps flags to the key that each sets. All other flags belong to one command.
var flagKeys = map[string]string{
	"home": "home", "scandir": "scandir", "policy": "policy", "output": "output",
	"log-level": "log_level", "log-format": "log_format",
	"strict": "boot.strict", "rescan": "boot.rescan", "deadline": "boot.deadline",
	noWatch: "watch.enabled",
}

// Words returns the words of which a flag takes one; nil is any.
func Words(flag string) []string { return choices[flagKeys[flag]] }

// noWatch is the flag that sets its key to the opposite.
const noWatch = "no-watch"

// AddFlags adds the flags that every command has.
func AddFlags(flags *pflag.FlagSet) {
	flags.String("home", "", "the home on the volume (HERMES_HOME, default /opt/data)")
	flags.String("scandir", "", "the scan directory of s6 (S6_PROFILE_GATEWAY_SCANDIR, default /run/service)")
	flags.StringArray("policy", nil, "directory of rule packages, may be given several times (default "+defaultPolicyDir+" where it exists)")
	flags.String("config", "", "configuration file (default "+defaultConfigFile+" where it exists)")
	flags.Bool("trust-policy", false, "believe rules and a configuration that the user of the agents could have written; for a machine without agents")
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
	_, _, c, wrong, err = read(flags, environ)
	return c, wrong, err
}

func read(flags *pflag.FlagSet, environ []string) (k *koanf.Koanf, from origins, c Config, wrong, err error) {
	k, from = koanf.New("."), origins{}
	if err := k.Load(confmap.Provider(defaults(), "."), nil); err != nil {
		return k, from, Config{}, nil, err
	}
	fileErr := loadFile(k, flags, from, cmp.Or(lookup(environ, "HERMES_RECONCILE_USER"), k.String("user")))
	ignored, environmentErr := loadEnvironment(k, from, environ)
	c, err = finish(k, from, flags)
	c.Distrusted, c.SettingPlaces, c.Ignored, c.Given = distrusted(flags, c.User), from.settings(), ignored, given(flags)
	return k, from, c, errors.Join(fileErr, environmentErr), err
}

// distrusted returns the user whose rules and configuration are not believed: user, or with
// --trust-policy root, who can write everything and so is believed.
func distrusted(flags *pflag.FlagSet, user string) string {
	if trusting, _ := flags.GetBool("trust-policy"); trusting {
		return "0:0"
	}
	return user
}

// given returns the flags of the command line that every command has, sorted.
func given(flags *pflag.FlagSet) []string {
	var words []string
	common := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(common)
	flags.Visit(func(f *pflag.Flag) {
		if common.Lookup(f.Name) == nil || f.Name == "output" {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			if path, err := filepath.Abs(value); err == nil && !policy.IsBundle(value) && slices.Contains(pathFlags, f.Name) {
				value = path
			}
			words = append(words, "--"+f.Name+"="+value)
		}
	})
	return words
}

var pathFlags = []string{"config", "home", "policy", "scandir"}

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
func finish(k *koanf.Koanf, from origins, flags *pflag.FlagSet) (Config, error) {
	provider := posflag.ProviderWithFlag(flags, ".", nil, func(f *pflag.Flag) (string, any) {
		key, ok := flagKeys[f.Name]
		if !ok || !f.Changed {
			return "", nil
		}
		value := posflag.FlagVal(flags, f)
		from[key] = Value{Source: "flag", Location: "--" + f.Name}
		if no, isNo := value.(bool); isNo && f.Name == noWatch {
			value = !no
		}
		return key, value
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
	if _, given := from["require_signature"]; !given {
		c.RequireSignature = len(c.PolicyKeys) > 0
	}
	return c, nil
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
	if err := c.Bundles.Rollout.Check(); err != nil {
		return c, fmt.Errorf("bundles.rollout: %w", err)
	}
	return c, nil
}

func plainDecodeError(err error) error {
	text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "decoding failed due to the following error(s):\n\n"), "\n", "; ")
	return errors.New(regexp.MustCompile(`'([a-z0-9_.]+)'`).ReplaceAllString(text, "$1:"))
}

// validate checks what types cannot express.
func validate(k *koanf.Koanf) error {
	for key, words := range choices {
		if k.Exists(key) && !slices.Contains(words, k.String(key)) {
			return fmt.Errorf("%s is %q, have %s", key, k.String(key), strings.Join(words, ", "))
		}
	}
	for key := range numbers {
		if err := checkNumber(key, k.Int(key)); err != nil {
			return fmt.Errorf("%s is %w", key, err)
		}
	}
	if err := checkListen(k.String("watch.listen")); err != nil {
		return fmt.Errorf("watch.listen is %w", err)
	}
	if err := checkCollector(k.String("decision_log.url")); err != nil {
		return fmt.Errorf("decision_log.url is %w", err)
	}
	if path := k.String("decision_log.file"); path != "" && !filepath.IsAbs(path) {
		return fmt.Errorf("decision_log.file is %q, want a path from /", path)
	}
	if err := checkLabels(k.StringMap("labels")); err != nil {
		return fmt.Errorf("labels: %w", err)
	}
	if err := checkConfigKeys(k.Strings("facts.config_keys")); err != nil {
		return fmt.Errorf("facts.config_keys has %w", err)
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

// numbers are the keys whose value is a whole number, with what they want.
var numbers = map[string]string{
	"s6.capacity":     "a number of slots, 0 for no limit, or -1 to find out",
	"watch.max_stops": "a number of gateways, or -1 for half of those that run, at least 2",
}

func checkNumber(key string, n int) error {
	if n < -1 {
		return fmt.Errorf("%d, want %s", n, numbers[key])
	}
	return nil
}

// checkListen checks an address that names its host, so that nobody listens everywhere by
// leaving it out. The path of a socket is limited by the kernel.
func checkListen(address string) error {
	if address == "" || filepath.IsAbs(address) && len(address) <= 107 {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if number, notNumber := strconv.ParseUint(port, 10, 16); err == nil && host != "" && notNumber == nil && number > 0 {
		return nil
	}
	return fmt.Errorf("%q, want HOST:PORT such as 127.0.0.1:9632, or the path of a socket such as /run/hermes-reconcile/metrics.sock, of at most 107 bytes", address)
}

// checkCollector checks the URL of a collector: what leaves the host is encrypted, and the
// configuration has no password.
func checkCollector(address string) error {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return nil
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%q, want a URL such as https://collector.example.com/opa", policy.Cut(address))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("a URL with a user or a query, which may be a secret; want it without")
	case u.Scheme == "http" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
		return fmt.Errorf("%q, and events would leave this host in the clear; want https, or a proxy on this host such as http://127.0.0.1:8181", address)
	}
	return nil
}

// The limits of labels.
const (
	mostLabels = 32
	maxLabel   = 128 // bytes of a value
)

var labelName = policy.Pattern(`^[a-zA-Z][a-zA-Z0-9_]{0,62}$`)

// checkLabels checks labels. They become those of a metric, and everybody may see them.
func checkLabels(labels map[string]string) error {
	if len(labels) > mostLabels {
		return fmt.Errorf("there are %d, want at most %d", len(labels), mostLabels)
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		value := labels[name]
		switch {
		case !labelName().MatchString(name):
			return fmt.Errorf("%q is no name of a label, want letters, digits and _, such as site", name)
		case slices.Contains([]string{"error", "id", "status", "version"}, name):
			return fmt.Errorf("%s is taken, want another name", name)
		case policy.NamesSecret(name):
			return fmt.Errorf("%s is the name of a secret, and a label is shown to everybody", name)
		case len(value) > maxLabel || policy.Line(value) != value:
			return fmt.Errorf("%s is %q, want at most %d bytes that can be printed", name, policy.Cut(value), maxLabel)
		}
	}
	return nil
}

// checkConfigKeys checks the keys that become facts: a fact never holds a secret.
func checkConfigKeys(keys []string) error {
	for _, key := range keys {
		for part := range strings.SplitSeq(key, ".") {
			switch {
			case strings.TrimSpace(part) != part || part == "":
				return fmt.Errorf("%q, want keys with dots between them, such as model.provider", key)
			case policy.NamesSecret(part):
				return fmt.Errorf("%q, and %s is the name of a secret; want keys that may be shown, such as model.provider", key, part)
			}
		}
	}
	return nil
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
