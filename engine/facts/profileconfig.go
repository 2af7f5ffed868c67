package facts

import (
	"context"
	"encoding/json"

	"hermes-reconcile/policy"
)

type configFact struct {
	outcome
	Standalone      *bool                     `json:"standalone,omitempty"`
	Platforms       map[string]platformConfig `json:"platforms"`
	JobCount        int                       `json:"job_count"`
	EnabledJobs     int                       `json:"enabled_jobs"`
	JobsStatus      string                    `json:"jobs_status"`
	ProviderCount   int                       `json:"provider_count"`
	ProvidersStatus string                    `json:"providers_status"`
}

type platformConfig struct {
	Enabled *bool `json:"enabled,omitempty"`
}

// profileConfig says what a profile is set up for.
func profileConfig() ProfileSource {
	return ProfileSource{"config", configSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		config := readConfig(dir)
		f := configFact{outcome: config.outcome, Platforms: map[string]platformConfig{}}
		if on, ok := boolOf(config.at("gateway", "standalone")); ok {
			f.Standalone = &on
		}
		f.addPlatforms(config)
		f.JobCount, f.EnabledJobs, f.JobsStatus = countJobs(readFile(dir, "cron/jobs.json", maxConfig))
		f.ProviderCount, f.ProvidersStatus = countProviders(readObject(dir, "auth.json", maxConfig))
		return f, nil
	}}
}

func configSchema() string {
	return fact(byAgent, "what the profile is set up for; the status is that of config.yaml", properties{
		"standalone": boolean("gateway.standalone of config.yaml: the profile wants a gateway of its own; absent when not set"),
		"platforms": byName("platforms and gateway.platforms of config.yaml, by name", object("one platform", properties{
			"enabled": boolean("enabled; absent when not set"),
		})),
		"job_count":        integer("number of jobs in cron/jobs.json"),
		"enabled_jobs":     integer("those of them that are not switched off by enabled: false"),
		"jobs_status":      status("how reading cron/jobs.json went"),
		"provider_count":   integer("number of providers in auth.json; their names are not read"),
		"providers_status": status("how reading auth.json went"),
	})
}

func (f *configFact) addPlatforms(config configFile) {
	for _, prefix := range [][]string{{"gateway", "platforms"}, {"platforms"}} {
		all := config.at(prefix...)
		for _, name := range keysOf(all, maxPlatforms) {
			p := platformConfig{}
			if on, ok := boolOf(child(child(all, name, 0), "enabled", 0)); ok {
				p.Enabled = &on
			}
			f.Platforms[bounded(name, 128)] = p
		}
	}
}

// countJobs reads a list of jobs, or an object with one under "jobs".
func countJobs(data []byte, out outcome) (count, enabled int, status string) {
	if out.Status != "" {
		return 0, 0, out.Status
	}
	wrapped := append([]byte(`{"jobs":`), withoutBOM(data)...)
	keys, out := parseObject(append(wrapped, '}'))
	if out.Status != policy.StatusRecorded {
		_, out = parseObject(data) // says missing text and the like rightly
		return 0, 0, orInvalid(out.Status)
	}
	if inner := keys.object("jobs"); inner != nil {
		keys = *inner
	}
	jobs := value[[]json.RawMessage](&keys, "jobs")
	if jobs == nil {
		return 0, 0, policy.StatusInvalid
	}
	if len(*jobs) == 0 {
		return 0, 0, policy.StatusEmpty
	}
	for _, raw := range *jobs {
		job, _ := parseObject(raw)
		if on := job.boolean("enabled"); on == nil || *on {
			enabled++
		}
	}
	return len(*jobs), enabled, policy.StatusRecorded
}

func orInvalid(status string) string {
	if status == policy.StatusEmpty {
		return status
	}
	return policy.StatusInvalid
}

func countProviders(keys fields, out outcome) (int, string) {
	if out.Status != policy.StatusRecorded {
		return 0, out.Status
	}
	if providers := keys.object("providers"); providers != nil {
		return len(providers.raw), out.Status
	}
	return len(keys.raw), out.Status
}
