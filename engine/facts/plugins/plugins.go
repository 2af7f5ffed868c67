// Package plugins runs the operator's plug-ins: files of the facts directory that answer
// with facts about the container and about profiles. A static plug-in is a .json or .yaml
// file with the answer. Any other plug-in is a program that gets a question and prints the
// answer. A plug-in that fails loses only its own answer.
//
// For root, the programs run as a user of their own: neither root, whom they could harm, nor
// the agents' user, whose processes could harm them.
package plugins

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// maxPlugins is how many plug-ins there may be. They all run side by side.
const maxPlugins = 100

// grace is how long after the time limit an answer may arrive: that of a program which was
// killed.
const grace = 200 * time.Millisecond

// Config says where the plug-ins are and what they are asked.
type Config struct {
	Dir     string // of the plug-ins; empty: none
	Home    string
	Timeout time.Duration // for all plug-ins together
	// Users are set when this process is root.
	Users *Users
	Now   func() time.Time

	phase string // of the pass
}

// Users are the users that root tells apart.
type Users struct {
	Plugins trust.User
	Err     error      // why no program can run as Plugins
	Agents  trust.User // a static plug-in that this user could have written is not used
}

// running lets one AddFacts at a time look for the processes that its plug-ins left.
var running sync.Mutex

func (c Config) ask(ctx context.Context, profiles []string) report {
	if c.Dir == "" {
		return newReport(read.Outcome{Status: policy.StatusMissing})
	}
	running.Lock()
	defer running.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	late := newReport(read.Outcome{Status: policy.StatusTimedOut, Error: "the facts directory does not answer"})
	return inTime(ctx, 2*grace+2*patience, late, func() report { return c.run(ctx, profiles) })
}

// inTime returns what f returns, or late when f needs longer than ctx and then some. A panic
// of f makes it late too.
func inTime[T any](ctx context.Context, some time.Duration, late T, f func() T) T {
	done := make(chan T, 1)
	go func() {
		value := late
		defer func() {
			_ = recover()
			done <- value
		}()
		value = f()
	}()
	select {
	case value := <-done:
		return value
	case <-ctx.Done():
	}
	select {
	case value := <-done:
		return value
	case <-time.After(some):
		return late
	}
}

func (c Config) run(ctx context.Context, profiles []string) report {
	r := newReport(read.Recorded)
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
	known := make(map[string]bool, len(profiles))
	for _, name := range profiles {
		known[name] = true
	}
	for i, a := range c.askAll(ctx, files, c.question(profiles)) {
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
		if !pluginName().MatchString(name) || len(name) > 64 || taken[name] || len(files) == maxPlugins {
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

var pluginName = policy.Pattern(`^[a-z][a-z0-9_]*$`)

// askAll asks the plug-ins and returns their answers in the order of the files.
func (c Config) askAll(ctx context.Context, files []string, question []byte) []answer {
	if c.Users != nil {
		defer killLeft(c.Users.Plugins, adopt())
	}
	answers := make([]answer, len(files))
	var group sync.WaitGroup
	for i, file := range files {
		group.Go(func() { answers[i] = c.askOne(ctx, file, question) })
	}
	group.Wait()
	return answers
}

func (c Config) askOne(ctx context.Context, file string, question []byte) answer {
	started, path := c.Now(), filepath.Join(c.Dir, file)
	kind, find := "executable", func() answer { return c.execute(ctx, path, question) }
	if slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(file)) {
		kind, find = "static", func() answer { return c.readStatic(path) }
	}
	a := inTime(ctx, grace, ended(read.Outcome{Status: policy.StatusTimedOut, Error: "it took too long, and killing it did not help"}), find)
	a.Kind, a.DurationMS = kind, c.Now().Sub(started).Milliseconds()
	return a
}

// readStatic reads a static plug-in. It follows links, because mounted configuration
// consists of them.
func (c Config) readStatic(path string) answer {
	var data []byte
	var out read.Outcome
	if c.Users == nil || c.Users.Agents.UID == 0 { // agents that are root can write anything
		data, out = read.Path(path, maxOutput)
	} else {
		data, out = read.NotBy(path, c.Users.Agents.UID, c.Users.Agents.GID, maxOutput)
	}
	if out.Status == "" && filepath.Ext(path) != ".json" {
		data, out = read.YAMLToJSON(data)
	}
	if out.Status != "" {
		return ended(out)
	}
	return parseAnswer(data)
}

// question returns what a program reads from its standard input. It leaves out profiles
// whose name is not that of their directory, and names that lead elsewhere: the names come
// from the agents' user.
func (c Config) question(profiles []string) []byte {
	type asked struct {
		Name string `json:"name"`
		Path string `json:"path"`
	}
	q := struct {
		Phase    string  `json:"phase"`
		Home     string  `json:"home"`
		Profiles []asked `json:"profiles"`
	}{c.phase, c.Home, []asked{}}
	for _, name := range profiles {
		if p, ok := policy.ProfileNamed(name); ok && (p.Dir == "." || path.Base(p.Dir) == name) {
			q.Profiles = append(q.Profiles, asked{name, filepath.Join(c.Home, p.Dir)})
		}
	}
	text, _ := json.Marshal(q) // strings always encode
	return text
}

// parseAnswer parses {"container": {...}, "profiles": {"coder": {...}}}. Either key may be
// missing, and no other key is valid.
func parseAnswer(data []byte) answer {
	keys, out := read.ParseObject(data)
	a := ended(out)
	for key := range keys.Raw {
		if key != "container" && key != "profiles" {
			return ended(read.Invalid(`a key that is neither "container" nor "profiles"`))
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
		return ended(read.Invalid("a value is not a JSON object"))
	}
	return a
}

// add adds the answer of one plug-in.
func (r *report) add(name string, a answer, known map[string]bool) {
	for profile, value := range a.profiles {
		switch {
		case !known[profile]:
			a.UnknownProfiles++
		case string(value) != "null":
			if r.profiles[profile] == nil {
				r.profiles[profile] = map[string]json.RawMessage{}
			}
			r.profiles[profile][name] = value
		}
	}
	if a.container != nil {
		r.Values[name] = a.container
	}
	r.Plugins[name] = a
}

// UserOf finds the user that plug-ins run as for root; without a name it is nobody. The
// agents' user is one only where the operator names it.
func UserOf(name string, agents trust.User) (trust.User, error) {
	u, err := trust.LookupUser(cmp.Or(name, "nobody"))
	if err != nil && name == "" {
		u, err = trust.User{UID: 65534, GID: 65534}, nil
	}
	switch {
	case err != nil:
		return u, fmt.Errorf("configuration: facts.user: %w", err)
	case u.UID == 0 || u.GID == 0:
		return u, errors.New("facts.user is root or in the group of root, want another user for plug-ins")
	case name == "" && u.UID == agents.UID:
		return u, errors.New("facts.user is not set, and nobody is the agents' user: name another one for plug-ins")
	}
	return u, nil
}
