package facts

import (
	"bytes"
	"encoding/json"
	"slices"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type configFact struct {
	read.Outcome
	Standalone      *bool                     `json:"standalone,omitempty" about:"gateway.standalone of config.yaml: the profile wants a gateway of its own; absent when not set"`
	Platforms       map[string]platformConfig `json:"platforms" about:"the platforms in config.yaml, by name: those below gateway, platforms and gateway.platforms, merged" of:"one platform"`
	ChangedUnix     *int64                    `json:"changed_unix,omitempty" about:"when .env or config.yaml was last changed, in seconds since 1970; only on a running container"`
	JobCount        int                       `json:"job_count" about:"number of jobs in cron/jobs.json"`
	EnabledJobs     int                       `json:"enabled_jobs" about:"number of jobs without enabled: false"`
	JobsStatus      string                    `json:"jobs_status" about:"how reading cron/jobs.json went" words:"status"`
	ProviderCount   int                       `json:"provider_count" about:"number of providers in auth.json, whose names are not read"`
	ProvidersStatus string                    `json:"providers_status" about:"how reading auth.json went" words:"status"`
}

type platformConfig struct {
	Enabled *bool `json:"enabled,omitempty" about:"enabled; absent when not set"`
}

// profileConfig is what a profile is set up for.
func (c Config) profileConfig() ProfileSource {
	return profileFact("config", byAgent, "what the profile is set up for; the status is that of config.yaml", func(dir policy.Directory) configFact {
		s := c.setup(dir)
		standalone, _ := s.key("gateway", "standalone")
		f := configFact{Outcome: s.config.Outcome, Standalone: standalone.Bool(), Platforms: map[string]platformConfig{}}
		for _, name := range s.configured() {
			on, _ := s.switched(name)
			f.Platforms[read.Bounded(name, 128)] = platformConfig{on}
		}
		if c.Phase == policy.PhaseApply {
			f.ChangedUnix = lastChange(dir, ".env", "config.yaml")
		}
		f.JobCount, f.EnabledJobs, f.JobsStatus = countJobs(read.File(dir, "cron/jobs.json", read.MaxConfig))
		f.ProviderCount, f.ProvidersStatus = countProviders(read.JSON(dir, "auth.json", read.MaxConfig))
		return f
	})
}

// lastChange returns when the newest of the files was changed, in seconds since 1970.
func lastChange(dir policy.Directory, names ...string) *int64 {
	var newest *int64
	for _, name := range names {
		if info, err := dir.Lstat(name); err == nil && (newest == nil || info.ModTime().Unix() > *newest) {
			newest = new(info.ModTime().Unix())
		}
	}
	return newest
}

// countJobs counts the jobs of a list, or of an object with a list under "jobs".
func countJobs(data []byte, out read.Outcome) (count, enabled int, status string) {
	if out.Status != "" {
		return 0, 0, out.Status
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(data)) == 0 {
		return 0, 0, policy.StatusEmpty
	}
	keys, _ := read.ParseObject(slices.Concat([]byte(`{"jobs":`), data, []byte("}")))
	if inner := keys.Object("jobs"); inner != nil {
		keys = *inner
	}
	jobs := read.Value[[]json.RawMessage](&keys, "jobs")
	if jobs == nil {
		return 0, 0, policy.StatusInvalid
	}
	if len(*jobs) == 0 {
		return 0, 0, policy.StatusEmpty
	}
	for _, raw := range *jobs {
		job, _ := read.ParseObject(raw)
		if on := job.Bool("enabled"); on == nil || *on {
			enabled++
		}
	}
	return len(*jobs), enabled, policy.StatusRecorded
}

func countProviders(keys read.Object, out read.Outcome) (int, string) {
	if out.Status != policy.StatusRecorded {
		return 0, out.Status
	}
	if providers := keys.Object("providers"); providers != nil {
		return len(providers.Raw), out.Status
	}
	return len(keys.Raw), out.Status
}
