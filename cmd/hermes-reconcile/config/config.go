// Package config reads the configuration: defaults < file < environment < flags. It is
// strict: an unknown key, a value of the wrong type or an unknown word is an error that
// names where it stands and what would have been right.
package config

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego/fetch"
)

// A Config is the configuration. A key has its name, and its default as a variable has it. It can
// have a flag that sets it, and the words of which its value is one.
type Config struct {
	Home          string             `config:"home" default:"/opt/data" flag:"home"`
	ScanDir       string             `config:"scandir" default:"/run/service" flag:"scandir"`
	Policy        []string           `config:"policy" default:"/etc/hermes-reconcile/policy" flag:"policy"`
	PolicyTimeout time.Duration      `config:"policy_timeout" default:"2s"`
	PolicyMemory  ByteSize           `config:"policy_memory" default:"256MiB"`
	StateDir      string             `config:"state_dir" default:"/var/lib/hermes-reconcile"`
	PolicyKeys    []policy.BundleKey `config:"policy_keys"`
	// RequireSignature is also set when there are keys and the configuration says nothing.
	RequireSignature bool   `config:"require_signature" default:"true"`
	RunDir           string `config:"run_dir" default:"/run/hermes-reconcile"`
	OnRuleError      string `config:"on_rule_error" default:"hold" words:"hold ignore"`
	Labels           map[string]string
	Settings         map[string]any
	Output           string `config:"output" default:"table" flag:"output" words:"table json yaml"`
	LogLevel         string `config:"log_level" default:"info" flag:"log-level" words:"debug info warn error"`
	LogFormat        string `config:"log_format" default:"auto" flag:"log-format" words:"auto text json"`
	User             string `config:"user" default:"hermes"`
	Distrusted       string // the user whose rules are not believed
	Facts            struct {
		Dir             string        `config:"dir" default:"/etc/hermes-reconcile/facts.d"`
		User            string        `config:"user"`
		Timeout         time.Duration `config:"timeout" default:"10s"`
		SourceTimeout   time.Duration `config:"source_timeout" default:"3s"`
		ExternalTimeout time.Duration `config:"external_timeout" default:"2s"`
		OperatorFiles   []string      `config:"operator_files"`
		ConfigKeys      []string      `config:"config_keys"`
	} `config:"facts"`
	Boot struct {
		Deadline time.Duration `config:"deadline" default:"30s" flag:"deadline"`
		Strict   bool          `config:"strict" default:"false" flag:"strict"`
		Rescan   string        `config:"rescan" default:"never" flag:"rescan" words:"never now"`
	} `config:"boot"`
	Watch struct {
		Enabled  bool          `config:"enabled" default:"true" flag:"no-watch"`
		Debounce time.Duration `config:"debounce" default:"200ms"`
		Resync   time.Duration `config:"resync" default:"60s"`
		MaxStops int           `config:"max_stops" default:"-1"`
		Listen   string        `config:"listen"`
	} `config:"watch"`
	DecisionLog struct {
		Console  bool     `config:"console" default:"false"`
		File     string   `config:"file"`
		FileSize ByteSize `config:"file_size" default:"16MiB"`
		URL      string   `config:"url"`
		Buffer   ByteSize `config:"buffer" default:"16MiB"`
		Input    string   `config:"input" default:"digest" words:"digest masked"`
	} `config:"decision_log"`
	Bundles struct {
		BootWait time.Duration   `config:"boot_wait" default:"3s"`
		PollMin  time.Duration   `config:"poll_min" default:"60s"`
		PollMax  time.Duration   `config:"poll_max" default:"120s"`
		MaxBytes ByteSize        `config:"max_bytes" default:"4MiB"`
		HTTP     bool            `config:"http" default:"false"`
		Rollout  policy.Rollout  `config:"rollout"`
		Services []fetch.Service `config:"services"`
	} `config:"bundles"`
	S6 struct {
		Ownership string `config:"ownership" default:"strict" words:"strict upstream"`
		Capacity  int    `config:"capacity" default:"-1"`
		Program   string `config:"program"`
		Stderr    string `config:"stderr" default:"log" words:"log container"`
	} `config:"s6"`
	Gateway struct {
		Command []string `config:"command" default:"hermes"`
		Args    []string `config:"args" default:"gateway,run,--replace"`
	} `config:"gateway"`

	// Given are the flags of the command line that every command has, without --output, for
	// the service. Their paths are absolute.
	Given []string
	// Ignored says which variables look like keys and are none.
	Ignored []string

	// PolicyWithoutFlags is Policy without the flags of the command line.
	PolicyWithoutFlags []string

	values map[string]Value // of each key, label and setting, as its source has it
}

// LogsDecisions reports whether there is a decision log.
func (c Config) LogsDecisions() bool {
	return c.DecisionLog.Console || c.DecisionLog.File != "" || c.DecisionLog.URL != ""
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
	l := newLayers(&c)
	wrong = errors.Join(l.addFile(flags, environ), l.addEnvironment(environ))
	c.PolicyWithoutFlags = l.merged.Strings("policy")
	err = l.addFlags(flags)
	l.fill()
	if c.values["require_signature"].Source == sourceDefault {
		c.RequireSignature = len(c.PolicyKeys) > 0
	}
	c.Distrusted, c.Given = distrusted(flags, c.User), given(flags)
	return c, wrong, err
}

// distrusted returns the user whose rules and configuration are not believed: user, or with
// --trust-policy root, who can write everything and so is believed.
func distrusted(flags *pflag.FlagSet, user string) string {
	if trusting, _ := flags.GetBool("trust-policy"); trusting {
		return "0:0"
	}
	return user
}
