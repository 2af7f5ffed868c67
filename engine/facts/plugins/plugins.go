// Package plugins runs the operator's plug-ins: files of the facts directory that answer
// with facts about the container and about profiles. A static plug-in is a .json or .yaml
// file with the answer. Any other plug-in is a program that gets a question and prints the
// answer. A plug-in that fails loses only its own answer.
package plugins

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// How many plug-ins there may be, and how many run side by side.
const (
	maxPlugins     = 100
	pluginsAtATime = 8
)

// Config says where the plug-ins are and what they are asked.
type Config struct {
	Dir      string // of the plug-ins; empty: none
	Home     string
	Phase    string   // policy.PhaseBoot or policy.PhaseApply
	Environ  []string // of which plug-ins see PATH and LANG
	Profiles func(context.Context) ([]policy.Profile, error)
	Timeout  time.Duration // for each plug-in
	// OnlyRoot means that root runs the program as an unprivileged user. A plug-in that this
	// user could have written is then not used.
	OnlyRoot bool
	Now      func() time.Time
}

// A Report is what all plug-ins answered.
type Report struct {
	read.Outcome
	Plugins  map[string]Answer
	Ignored  []string                              // files that are not plug-ins by their name
	Values   map[string]json.RawMessage            // by plug-in, for the container
	Profiles map[string]map[string]json.RawMessage // by profile, then by plug-in
}

// NewReport returns a report without answers.
func NewReport(out read.Outcome) Report {
	return Report{
		Outcome: out, Plugins: map[string]Answer{}, Ignored: []string{},
		Values: map[string]json.RawMessage{}, Profiles: map[string]map[string]json.RawMessage{},
	}
}

// An Answer is what one plug-in answered, and how.
type Answer struct {
	read.Outcome
	Static          bool // it is a file with the answer, not a program
	Duration        time.Duration
	StderrBytes     int64 // written to standard error, which is not kept
	UnknownProfiles int   // in the answer

	container json.RawMessage
	profiles  map[string]json.RawMessage
}

// Run runs all plug-ins and waits for them.
func Run(ctx context.Context, c Config) Report {
	r := NewReport(read.Recorded)
	if c.Dir == "" {
		r.Status = policy.StatusMissing
		return r
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		r.Outcome = read.OutcomeOf(err)
		return r
	}
	files, ignored := choose(entries)
	r.Ignored = append(r.Ignored, ignored...)
	if len(files) == 0 {
		r.Status = policy.StatusEmpty
		return r
	}
	profiles, err := c.Profiles(ctx)
	if err != nil {
		r.Outcome = read.Outcome{Status: policy.StatusFailed, Error: "the profiles cannot be listed"}
		return r
	}
	known := make(map[string]bool, len(profiles))
	for _, p := range profiles {
		known[p.Name] = true
	}
	for i, a := range c.askAll(ctx, files, profiles) {
		r.add(nameOf(files[i]), a, known)
	}
	return r
}

// choose selects the files that are named as plug-ins. It silently skips hidden files and
// those that editors leave, because mounted directories are full of them.
func choose(entries []os.DirEntry) (files, ignored []string) {
	taken := map[string]bool{}
	for _, entry := range entries {
		file := entry.Name()
		if strings.HasPrefix(file, ".") || strings.HasSuffix(file, "~") {
			continue
		}
		name := nameOf(file)
		if !isName(name) || taken[name] || len(files) == maxPlugins {
			ignored = append(ignored, read.Bounded(file, 255))
			continue
		}
		taken[name] = true
		files = append(files, file)
	}
	return files, ignored
}

// nameOf returns the name of a plug-in: the file's without the ending.
func nameOf(file string) string { return strings.TrimSuffix(file, filepath.Ext(file)) }

// isName reports whether s is ^[a-z][a-z0-9_]*$, of at most 64 bytes.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (i == 0 || (c != '_' && (c < '0' || c > '9'))) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// askAll asks the plug-ins and returns their answers in the order of the files.
func (c Config) askAll(ctx context.Context, files []string, profiles []policy.Profile) []Answer {
	question := c.question(profiles)
	answers := make([]Answer, len(files))
	var group errgroup.Group
	group.SetLimit(pluginsAtATime)
	for i, file := range files {
		group.Go(func() error {
			started := c.Now()
			answers[i] = c.ask(ctx, file, question)
			answers[i].Duration = c.Now().Sub(started)
			return nil
		})
	}
	_ = group.Wait()
	return answers
}

// ask never panics: a plug-in must not end the program.
func (c Config) ask(ctx context.Context, file string, question []byte) (a Answer) {
	static := slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(file))
	defer func() {
		if recover() != nil {
			a = Answer{Outcome: read.Outcome{Status: policy.StatusFailed, Error: "its answer could not be read"}}
		}
		a.Static = static
	}()
	path := filepath.Join(c.Dir, file)
	if static {
		return c.readStatic(path)
	}
	return c.execute(ctx, path, question)
}

// readStatic reads a static plug-in. It follows links, because mounted configuration
// consists of them.
func (c Config) readStatic(path string) Answer {
	if c.OnlyRoot && writable(path) {
		return Answer{Outcome: read.Outcome{Status: policy.StatusUnreadable, Error: "the unprivileged user can write it, or its folder"}}
	}
	data, out := read.Path(path, maxOutput)
	if out.Status == "" && filepath.Ext(path) != ".json" {
		data, out = read.YAMLToJSON(data)
	}
	if out.Status != "" {
		return Answer{Outcome: out}
	}
	return parseAnswer(data)
}

// writable reports whether this process, unless it is root, could write or replace the file
// at path.
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

// question returns what a program reads from its standard input.
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
	text, _ := json.Marshal(q) // strings always encode
	return text
}

// parseAnswer parses {"container": {...}, "profiles": {"coder": {...}}}. Either key may be
// missing, and no other key is valid.
func parseAnswer(data []byte) Answer {
	keys, out := read.ParseObject(data)
	a := Answer{Outcome: out}
	for key := range keys.Raw {
		if key != "container" && key != "profiles" {
			a.Outcome = read.Invalid(`a key that is neither "container" nor "profiles"`)
			return a
		}
	}
	if keys.Object("container") != nil {
		a.container = keys.Raw["container"]
	}
	if profiles := keys.Object("profiles"); profiles != nil {
		a.profiles = profiles.Raw
		for name := range profiles.Raw {
			profiles.Object(name)
		}
		keys.Unexpected = append(keys.Unexpected, profiles.Unexpected...)
	}
	if len(keys.Unexpected) > 0 {
		return Answer{Outcome: read.Invalid("a value is not a JSON object")}
	}
	return a
}

// add adds the answer of one plug-in.
func (r *Report) add(name string, a Answer, known map[string]bool) {
	for profile, value := range a.profiles {
		switch {
		case !known[profile]:
			a.UnknownProfiles++
		case string(value) != "null":
			if r.Profiles[profile] == nil {
				r.Profiles[profile] = map[string]json.RawMessage{}
			}
			r.Profiles[profile][name] = value
		}
	}
	if a.container != nil {
		r.Values[name] = a.container
	}
	r.Plugins[name] = a
}
