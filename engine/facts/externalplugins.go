package facts

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// How many plug-ins there may be, and how many run side by side.
const (
	maxPlugins     = 100
	pluginsAtATime = 8
)

// A plugin is one file of the facts directory.
type plugin struct {
	name, file string
	static     bool
}

// runPlugins runs all plug-ins and waits for them.
func (c Config) runPlugins(ctx context.Context) externalReport {
	r := externalReport{outcome: recorded}.withoutNil()
	if c.FactsDir == "" {
		r.outcome = outcome{Status: policy.StatusMissing}
		return r
	}
	names, err := pluginFiles(c.FactsDir)
	if err != nil {
		r.outcome = outcomeOf(err)
		return r
	}
	plugins, ignored := choosePlugins(names)
	r.ignored = append(r.ignored, ignored...)
	if len(plugins) == 0 {
		r.outcome = outcome{Status: policy.StatusEmpty}
		return r
	}
	profiles, err := c.Profiles(ctx)
	if err != nil {
		r.outcome = outcome{policy.StatusFailed, "the profiles cannot be listed"}
		return r
	}
	answers := c.askAll(ctx, plugins, profiles)
	known := make(map[string]bool, len(profiles))
	for _, p := range profiles {
		known[p.Name] = true
	}
	for i, p := range plugins {
		r.merge(p.name, answers[i], known)
	}
	return r
}

func pluginFiles(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// choosePlugins takes the files that are named as plug-ins. Hidden files and
// those that editors leave are passed over in silence: mounted directories are
// full of them.
func choosePlugins(files []string) (plugins []plugin, ignored []string) {
	taken := map[string]bool{}
	for _, file := range files {
		if strings.HasPrefix(file, ".") || strings.HasSuffix(file, "~") {
			continue
		}
		ending := filepath.Ext(file)
		name := strings.TrimSuffix(file, ending)
		if !isPluginName(name) || taken[name] || len(plugins) == maxPlugins {
			ignored = append(ignored, bounded(file, 255))
			continue
		}
		taken[name] = true
		static := ending == ".json" || ending == ".yaml" || ending == ".yml"
		plugins = append(plugins, plugin{name, file, static})
	}
	return plugins, ignored
}

// isPluginName reports whether s is ^[a-z][a-z0-9_]*$.
func isPluginName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (i == 0 || (c != '_' && (c < '0' || c > '9'))) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// askAll asks the plug-ins, some of them side by side.
func (c Config) askAll(ctx context.Context, plugins []plugin, profiles []policy.Profile) []answer {
	question := c.question(profiles)
	answers := make([]answer, len(plugins))
	places := make(chan struct{}, pluginsAtATime)
	var all sync.WaitGroup
	for i, p := range plugins {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			started := c.Now()
			answers[i] = c.ask(ctx, p, question)
			answers[i].DurationMS = c.Now().Sub(started).Milliseconds()
		})
	}
	all.Wait()
	return answers
}

// ask never panics: a plug-in must not take the program down.
func (c Config) ask(ctx context.Context, p plugin, question []byte) (a answer) {
	kind := "executable"
	if p.static {
		kind = "static"
	}
	defer func() {
		if recover() != nil {
			a = answer{pluginFact: pluginFact{outcome: outcome{policy.StatusFailed, "its answer could not be read"}}}
		}
		a.Kind = kind
	}()
	path := filepath.Join(c.FactsDir, p.file)
	if p.static {
		return c.readStatic(path)
	}
	return c.execute(ctx, path, question)
}

// readStatic reads a static plug-in. YAML becomes JSON first. Links are the
// operator's business, as mounted configuration has them.
func (c Config) readStatic(path string) answer {
	if c.OnlyRoot && writable(path) {
		return answer{pluginFact: pluginFact{outcome: outcome{policy.StatusUnreadable, "the unprivileged user can write it, or its folder"}}}
	}
	data, out := readPath(path, maxOutput)
	if out.Status == "" && filepath.Ext(path) != ".json" {
		data, out = yamlToJSON(data)
	}
	if out.Status != "" {
		return answer{pluginFact: pluginFact{outcome: out}}
	}
	return parseAnswer(data)
}

// writable reports whether this process, unless it is root, could write or replace what
// is at path.
func writable(path string) bool {
	if os.Geteuid() == 0 {
		return false
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for _, at := range []string{real, filepath.Dir(real), filepath.Dir(path)} {
		if unix.Access(at, unix.W_OK) == nil {
			return true
		}
	}
	return false
}

func yamlToJSON(data []byte) (text []byte, out outcome) {
	defer func() {
		if recover() != nil {
			out = invalid("not YAML")
		}
	}()
	var v any
	if err := yaml.Unmarshal(withoutBOM(data), &v); err != nil {
		return nil, invalid("%s", yamlProblem(err))
	}
	if v == nil {
		return nil, outcome{Status: policy.StatusEmpty}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, invalid("a value or key that JSON does not have")
	}
	return text, outcome{}
}

// question is what an executable reads from its standard input.
func (c Config) question(profiles []policy.Profile) []byte {
	type asked struct {
		Name string `json:"name"`
		Path string `json:"path"`
	}
	q := struct {
		Phase    string  `json:"phase"`
		Home     string  `json:"home"`
		Profiles []asked `json:"profiles"`
	}{c.Phase, c.Home, []asked{}}
	for _, p := range profiles {
		q.Profiles = append(q.Profiles, asked{p.Name, filepath.Join(c.Home, p.Dir)})
	}
	text, err := json.Marshal(q)
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return text
}
