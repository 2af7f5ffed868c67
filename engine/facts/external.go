package facts

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"hermes-reconcile/engine/facts/plugins"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// DefaultExternalTimeout is how long one plug-in may run. The time limit for a source has to
// be longer, or one slow plug-in loses the answers of all.
const DefaultExternalTimeout = 2 * time.Second

// external is the answers of the plug-ins. They run once, when the first of its two sources
// is collected.
type external struct {
	config plugins.Config
	start  sync.Once
	done   chan struct{} // closed when report is complete
	report plugins.Report
}

type externalFact struct {
	read.Outcome
	Plugins map[string]pluginFact      `json:"plugins" about:"how each plug-in ended, by its name: the file's without the ending" of:"one plug-in"`
	Values  map[string]json.RawMessage `json:"values" about:"what each plug-in answered about the container, by plug-in" of:"the plug-in's own keys"`
	Ignored []string                   `json:"ignored" about:"files whose name is not that of a plug-in, or whose name another plug-in has" of:"file"`
}

type externalProfileFact struct {
	read.Outcome
	Values map[string]json.RawMessage `json:"values" about:"what each plug-in answered about this profile, by plug-in" of:"the plug-in's own keys"`
}

type pluginFact struct {
	Status          string `json:"status" about:"recorded: it answered; timed_out: it took too long; failed: it could not be run, or its exit status was not 0; unreadable: its file must not be used; invalid: its answer is not valid" words:"status"`
	Error           string `json:"error,omitempty" about:"what went wrong; never quotes what the plug-in printed"`
	Kind            string `json:"kind" about:"static: a .json or .yaml file; executable: a program" words:"static,executable"`
	DurationMS      int64  `json:"duration_ms" about:"how long it ran, in milliseconds"`
	StderrBytes     int64  `json:"stderr_bytes" about:"how many bytes it wrote to standard error, which is not kept"`
	UnknownProfiles int    `json:"unknown_profiles" about:"names in its answer that no profile has"`
}

func newExternal(c Config) *external {
	return &external{done: make(chan struct{}), config: plugins.Config{
		Dir: c.FactsDir, Home: c.Home, Phase: c.Phase, Environ: c.Environ, Profiles: c.Profiles,
		Timeout: c.ExternalTimeout, OnlyRoot: c.OnlyRoot, Now: c.Now,
	}}
}

func (e *external) container() Source {
	const about = "facts of the operator's plug-ins, which are files in the facts directory"
	return Source{"external", schemaText[externalFact](byOperator, about), func(ctx context.Context) any {
		r := e.result(ctx)
		f := externalFact{r.Outcome, map[string]pluginFact{}, r.Values, r.Ignored}
		for name, a := range r.Plugins {
			kind := "executable"
			if a.Static {
				kind = "static"
			}
			f.Plugins[name] = pluginFact{a.Status, a.Error, kind, a.Duration.Milliseconds(), a.StderrBytes, a.UnknownProfiles}
		}
		return f
	}}
}

func (e *external) profile() ProfileSource {
	const about = "facts of the operator's plug-ins about this profile"
	return ProfileSource{"external", schemaText[externalProfileFact](byOperator, about), func(ctx context.Context, dir policy.Directory) any {
		r := e.result(ctx)
		values := r.Profiles[dir.Profile().Name]
		if values == nil {
			values = map[string]json.RawMessage{}
		}
		return externalProfileFact{r.Outcome, values}
	}}
}

// result waits for the one run, until ctx ends.
func (e *external) result(ctx context.Context) plugins.Report {
	e.start.Do(func() {
		go func() {
			defer close(e.done)
			defer func() {
				if recover() != nil { // nothing else would catch it here
					e.report = plugins.NewReport(read.Outcome{Status: policy.StatusFailed, Error: "the plug-ins could not be run"})
				}
			}()
			e.report = plugins.Run(ctx, e.config)
		}()
	})
	select {
	case <-e.done:
		return e.report
	case <-ctx.Done():
		return plugins.NewReport(read.Outcome{Status: policy.StatusTimedOut})
	}
}
