package facts

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"hermes-reconcile/policy"
)

// DefaultExternalTimeout is how long one plug-in may take. The time for a source
// has to be longer, or the answers of the quick plug-ins are lost with those of
// the slow one.
const DefaultExternalTimeout = 2 * time.Second

// external runs the plug-ins of the facts directory: once, when the first of its
// two sources is asked.
type external struct {
	config Config
	start  sync.Once
	done   chan struct{} // closed when report is there
	report externalReport
}

// An externalReport is what all plug-ins said.
type externalReport struct {
	outcome
	plugins  map[string]pluginFact
	ignored  []string
	values   map[string]json.RawMessage            // by plug-in, for the container
	profiles map[string]map[string]json.RawMessage // by profile, then by plug-in
}

// withoutNil makes the empty parts of a report empty objects and lists.
func (r externalReport) withoutNil() externalReport {
	r.plugins, r.ignored = map[string]pluginFact{}, []string{}
	r.values, r.profiles = map[string]json.RawMessage{}, map[string]map[string]json.RawMessage{}
	return r
}

type externalFact struct {
	outcome
	Plugins map[string]pluginFact      `json:"plugins"`
	Values  map[string]json.RawMessage `json:"values"`
	Ignored []string                   `json:"ignored"`
}

type externalProfileFact struct {
	outcome
	Values map[string]json.RawMessage `json:"values"`
}

// A pluginFact says how one plug-in went.
type pluginFact struct {
	outcome
	Kind            string `json:"kind"`
	DurationMS      int64  `json:"duration_ms"`
	StderrBytes     int64  `json:"stderr_bytes"`
	UnknownProfiles int    `json:"unknown_profiles"`
}

func newExternal(c Config) *external {
	return &external{config: c, done: make(chan struct{})}
}

func (e *external) container() Source {
	return Source{"external", externalSchema, func(ctx context.Context) (any, error) {
		r, err := e.result(ctx)
		if err != nil {
			r = externalReport{outcome: outcome{Status: policy.StatusTimedOut}}.withoutNil()
		}
		return externalFact{r.outcome, r.plugins, r.values, r.ignored}, nil
	}}
}

func (e *external) profile() ProfileSource {
	return ProfileSource{"external", externalProfileSchema, func(ctx context.Context, dir policy.Directory) (any, error) {
		r, err := e.result(ctx)
		if err != nil {
			return externalProfileFact{outcome{Status: policy.StatusTimedOut}, map[string]json.RawMessage{}}, nil
		}
		values := r.profiles[dir.Profile().Name]
		if values == nil {
			values = map[string]json.RawMessage{}
		}
		return externalProfileFact{r.outcome, values}, nil
	}}
}

func externalSchema() string {
	return fact(byOperator, "facts of the operator's plug-ins, files in the facts directory", properties{
		"plugins": byName("how each plug-in went, by its name: the file's without the ending", object("one plug-in", properties{
			"status":           status("recorded: it answered; timed_out: it took too long; failed: it could not be run or ended with another status than 0; unreadable: its file must not be used; invalid: its answer makes no sense"),
			"error":            text("what went wrong; never quotes what it printed"),
			"kind":             word("static: a .json or .yaml file; executable", "static", "executable"),
			"duration_ms":      integer("how long it took in milliseconds"),
			"stderr_bytes":     integer("how much it wrote to standard error, which is not kept"),
			"unknown_profiles": integer("profiles in its answer that are none"),
		})),
		"values":  byName("what it said of the container, by plug-in", anything("its own keys")),
		"ignored": list("files whose name is not that of a plug-in, or that another one has", text("file")),
	})
}

func externalProfileSchema() string {
	return fact(byOperator, "facts of the operator's plug-ins about this profile", properties{
		"values": byName("what it said of this profile, by plug-in", anything("its own keys")),
	})
}

// result waits for the one run. The error is that of ctx.
func (e *external) result(ctx context.Context) (externalReport, error) {
	e.start.Do(func() {
		go func() {
			defer close(e.done)
			defer func() {
				if recover() != nil { // nothing else would catch it here
					e.report = externalReport{outcome: outcome{policy.StatusFailed, "the plug-ins could not be run"}}.withoutNil()
				}
			}()
			e.report = e.config.runPlugins(ctx)
		}()
	})
	select {
	case <-e.done:
		return e.report, nil
	case <-ctx.Done():
		return externalReport{}, ctx.Err()
	}
}

// An answer is what a plug-in printed, or its static file holds.
type answer struct {
	pluginFact
	container json.RawMessage
	profiles  map[string]json.RawMessage
}

// parseAnswer reads {"container": {...}, "profiles": {"coder": {...}}}, where
// either may be missing and nothing else may be.
func parseAnswer(data []byte) answer {
	keys, out := parseObject(data)
	a := answer{pluginFact: pluginFact{outcome: out}}
	for key := range keys.raw {
		if key != "container" && key != "profiles" {
			a.outcome = invalid(`a key that is neither "container" nor "profiles"`)
			return a
		}
	}
	if container := keys.object("container"); container != nil {
		a.container = keys.raw["container"]
	}
	if profiles := keys.object("profiles"); profiles != nil {
		a.profiles = profiles.raw
		for _, name := range profiles.names(len(profiles.raw)) {
			profiles.object(name)
		}
		keys.unexpected = append(keys.unexpected, profiles.unexpected...)
	}
	if len(keys.unexpected) > 0 {
		a.outcome = invalid("a value that should be a JSON object is none")
		a.container, a.profiles = nil, nil
	}
	return a
}

// merge puts the answers together.
func (r *externalReport) merge(name string, a answer, known map[string]bool) {
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
		r.values[name] = a.container
	}
	r.plugins[name] = a.pluginFact
}
