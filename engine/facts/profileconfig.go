package facts

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type configFact struct {
	read.Outcome
	Standalone      *bool                     `json:"standalone,omitempty" about:"gateway.standalone of config.yaml: the profile wants a gateway of its own; absent when not set"`
	Model           *string                   `json:"model,omitempty" about:"model of config.yaml, or its key default or model; absent when it is not set, or looks like a secret"`
	Provider        *string                   `json:"provider,omitempty" about:"model.provider of config.yaml, or provider; absent when it is not set, or looks like a secret"`
	Values          map[string]configValue    `json:"values,omitempty" about:"the keys that facts.config_keys of the configuration names and config.yaml has, by name; absent without any" of:"one key"`
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

const maxMembers = 64

type configValue struct {
	Text    *string  `json:"text,omitempty" about:"the value as it is written, cut to 256 bytes, or that of the variable if it is only ${NAME}; absent for a list and for a value that is left out"`
	List    []string `json:"list,omitzero" about:"the members of a list, at most 64" of:"one member"`
	Source  string   `json:"source" about:"which file has it" words:"managed,config.yaml"`
	LeftOut string   `json:"left_out,omitempty" about:"why the value is not shown: secret: it looks like a credential, or is the value of a variable with the name of one; mapping: it has keys of its own" words:"secret,mapping"`
}

// shown returns a value of config.yaml for a fact, and whether the file has it. Null is no
// value.
func (s setup) shown(path ...string) (v configValue, ok bool) {
	node, source := s.key(path...)
	v.Source = source
	text, scalar := node.Text()
	texts := []string{text}
	if !scalar {
		texts = node.Texts(maxMembers, maxWord)
	}
	switch {
	case node.IsMapping():
		v.LeftOut = "mapping"
	case texts == nil:
		return v, false
	case slices.ContainsFunc(texts, s.isSecret):
		v.LeftOut = "secret"
	case scalar:
		v.Text = new(read.Bounded(s.resolve(text), maxWord))
	default:
		v.List = texts
	}
	return v, true
}

// isSecret reports whether a text of config.yaml, or the value of the variable that it names,
// might be a credential.
func (s setup) isSecret(text string) bool {
	named := placeholder().FindStringSubmatch(strings.TrimSpace(text))
	return named != nil && policy.NamesSecret(named[1]) || looksSecret(text) || looksSecret(s.resolve(text))
}

// knownSecret matches credentials of well-known services, and long hexadecimal words.
var knownSecret = policy.Pattern(`-----BEGIN|://[^/?#]*@` +
	`|\b(sk|pk|rk|xapp|xox[a-z]|gh[oprsu]|github_pat|glpat|hf)[-_][-_.A-Za-z0-9]{14,}` +
	`|\b(AKIA|AIza|ya29|eyJ)[-_.A-Za-z0-9]{12,}|\b[0-9]{6,}:[-_A-Za-z0-9]{20,}|\b[0-9a-fA-F]{32,}\b`)

var longWord = policy.Pattern(`[A-Za-z0-9]{20,}`)

// looksSecret reports whether a value might be a credential, whatever its name: it has the form
// of a known one, or a word of 20 characters with capitals, small letters and digits.
func looksSecret(value string) bool {
	if knownSecret().MatchString(value) {
		return true
	}
	for _, word := range longWord().FindAllString(value, -1) {
		if strings.ToLower(word) != word && strings.ToUpper(word) != word && strings.ContainsAny(word, "0123456789") {
			return true
		}
	}
	return false
}

// firstShown returns the text of the first of the keys that has one that may be shown.
func (s setup) firstShown(paths ...[]string) *string {
	for _, path := range paths {
		if v, _ := s.shown(path...); v.Text != nil {
			return v.Text
		}
	}
	return nil
}

func (c Config) profileConfig(dir policy.Directory) configFact {
	s := c.setup(dir)
	standalone, _ := s.key("gateway", "standalone")
	f := configFact{Outcome: s.config.Outcome, Standalone: standalone.Bool(), Platforms: map[string]platformConfig{}, Values: map[string]configValue{}}
	f.Model = s.firstShown([]string{"model"}, []string{"model", "default"}, []string{"model", "model"})
	f.Provider = s.firstShown([]string{"model", "provider"}, []string{"provider"})
	for _, key := range c.ConfigKeys {
		if v, ok := s.shown(strings.Split(key, ".")...); ok {
			f.Values[key] = v
		}
	}
	for _, name := range s.configured() {
		on, _ := s.switched(name)
		f.Platforms[read.Bounded(name, 128)] = platformConfig{on}
	}
	if c.Phase == policy.PhaseApply {
		f.ChangedUnix = lastChange(dir, ".env", "config.yaml")
	}
	f.JobCount, f.EnabledJobs, f.JobsStatus = countJobs(read.File(dir, jobsFile, read.MaxConfig))
	f.ProviderCount, f.ProvidersStatus = countProviders(read.JSON(dir, "auth.json", read.MaxConfig))
	return f
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
