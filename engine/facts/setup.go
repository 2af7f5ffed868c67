package facts

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// Where a value of a setup comes from.
const (
	fromManaged     = "managed"     // the administrator's directory, which wins
	fromDotenv      = ".env"        // of the profile
	fromEnvironment = "environment" // of the container; every gateway inherits it
	fromConfig      = "config.yaml" // of the profile
	fromDefault     = "default"     // upstream's default
)

// A setup is what configures the gateway of a profile, merged as upstream's loader merges it
// (gateway/config.py, hermes_cli/env_loader.py, hermes_cli/managed_scope.py): a variable of
// the managed .env wins over one of the profile's .env, and that over the environment of the
// container. A key of the managed config.yaml wins over the same key of the profile's.
type setup struct {
	env       read.Dotenv
	config    read.Config
	inherited *inherited
}

// inherited is the part of a setup that all profiles share.
type inherited struct {
	env     read.Dotenv       // of the administrator
	config  read.Config       // of the administrator
	environ map[string]string // of the container
}

// inherit reads what all profiles share. HERMES_MANAGED_DIR names the directory of the
// administrator; a file that is missing or broken has no effect.
func (c Config) inherit() *inherited {
	environ := read.ReadEnvironment(c.EnvDir, c.Environ).Values
	dir := c.ManagedDir
	if named := strings.TrimSpace(environ["HERMES_MANAGED_DIR"]); named != "" {
		dir = named
	}
	i := &inherited{environ: environ}
	if data, out := read.Path(filepath.Join(dir, ".env"), read.MaxState); out.Status == "" {
		i.env = read.ParseDotenv(data).Resolved(environ)
	}
	if data, out := read.Path(filepath.Join(dir, "config.yaml"), read.MaxConfig); out.Status == "" {
		i.config = read.ParseConfig(data)
	}
	return i
}

func (c Config) setup(dir policy.Directory) setup {
	i := c.inherited()
	return setup{read.ReadDotenv(dir).Resolved(i.environ), read.ReadConfig(dir), i}
}

// variable returns the value of a variable that the gateway sees, without spaces around it, and
// where it comes from. Both are empty if it is not set. A blank value hides those of later
// places, but counts as unset in the environment.
func (s setup) variable(name string) (value, source string) {
	if value, set := s.inherited.env.Values[name]; set {
		return clean(name, value), fromManaged
	}
	if value, set := s.env.Values[name]; set {
		return clean(name, value), fromDotenv
	}
	if value := clean(name, s.inherited.environ[name]); value != "" {
		return value, fromEnvironment
	}
	return "", ""
}

// clean returns a value without spaces around it. Upstream drops all but ASCII from a
// credential: invisible characters that came with a copy.
func clean(name, value string) string {
	if policy.SecretEnding(name) != "" {
		value = strings.Map(func(r rune) rune {
			if r > unicode.MaxASCII {
				return -1
			}
			return r
		}, value)
	}
	return strings.TrimSpace(value)
}

// isSet reports whether a variable has a value that is not blank.
func (s setup) isSet(name string) bool {
	value, _ := s.variable(name)
	return value != ""
}

// key returns a value of config.yaml and where it comes from.
func (s setup) key(path ...string) (read.Node, string) {
	if node := s.inherited.config.At(path...); node.Exists() {
		return node, fromManaged
	}
	return s.config.At(path...), fromConfig
}

// places are the mappings of config.yaml that may hold a platform, the first wins.
func places(platform string) [][]string {
	return [][]string{{"gateway", platform}, {"platforms", platform}, {"gateway", "platforms", platform}}
}

// platformKey returns a value that config.yaml has for a platform. Places are merged key by
// key; in each, "extra" comes before the platform itself.
func (s setup) platformKey(platform, name string) (value string, path []string, source string) {
	for _, below := range [][]string{{"extra", name}, {name}} {
		for _, place := range places(platform) {
			path := slices.Concat(place, below)
			node, source := s.key(path...)
			if text, ok := node.Text(); ok {
				return s.resolve(text), path, source
			}
		}
	}
	return "", nil, ""
}

// platformKeys returns the keys that config.yaml has for a platform, sorted.
func (s setup) platformKeys(platform string) []string {
	var keys []string
	for _, config := range []read.Config{s.inherited.config, s.config} {
		for _, place := range places(platform) {
			keys = append(keys, config.At(place...).Keys(maxTokens)...)
			keys = append(keys, config.At(append(place, "extra")...).Keys(maxTokens)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

var placeholder = policy.Pattern(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// resolve returns the value of a variable for a text that is only ${NAME}; it is empty if the
// variable is not set. Any other text stays.
func (s setup) resolve(text string) string {
	text = strings.TrimSpace(text)
	if found := placeholder().FindStringSubmatch(text); found != nil {
		value, _ := s.variable(found[1])
		return value
	}
	return text
}

// switched returns how config.yaml switches a platform; on is nil if it does not. The key at
// the top of the file wins over those of the places.
func (s setup) switched(platform string) (on *bool, source string) {
	for _, place := range append([][]string{{platform}}, places(platform)...) {
		node, source := s.key(append(slices.Clone(place), "enabled")...)
		if _, ok := node.Text(); ok {
			return new(node.Bool() != nil && *node.Bool()), source
		}
	}
	return nil, ""
}

// configured returns the platforms that config.yaml has, sorted: those of the mappings
// "platforms", and those known platforms that stand in "gateway".
func (s setup) configured() []string {
	var names []string
	for _, config := range []read.Config{s.inherited.config, s.config} {
		names = append(names, config.At("platforms").Keys(maxPlatforms)...)
		names = append(names, config.At("gateway", "platforms").Keys(maxPlatforms)...)
		for _, p := range platformTable {
			if config.At("gateway", p.name).IsMapping() || config.At(p.name, "enabled").Exists() {
				names = append(names, p.name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
