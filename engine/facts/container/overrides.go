package container

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type overridesFact struct {
	read.Outcome
	Profiles map[string][]override `json:"profiles" about:"overrides by profile" of:"overrides of one profile|one override"`
}

type override struct {
	Rule   string `json:"rule" about:"the rule package whose holds do not count"`
	Code   string `json:"code,omitempty" about:"the code of the hold"`
	Until  string `json:"until,omitempty" about:"when the override ends, as RFC 3339; absent: with the next start of the container"`
	AtUnix int64  `json:"at_unix" about:"when the override was given, in seconds since 1970"`
	Active bool   `json:"active" about:"the override has not ended"`
}

// overrides are the holds that an operator has set aside. They count only when no other
// user could have written them.
func (c Config) overrides() overridesFact {
	data, out := c.state(policy.OverridesFile)
	if out.Status != "" {
		return overridesFact{out, map[string][]override{}}
	}
	return parseOverrides(data, c.Now(), containerStart(c.Proc))
}

// state reads a file of the state directory.
func (c Config) state(name string) ([]byte, read.Outcome) {
	if c.StateDir == "" {
		return nil, read.Outcome{Status: policy.StatusMissing}
	}
	return read.Trusted(filepath.Join(c.StateDir, name), os.Geteuid())
}

// parseOverrides parses the list. start identifies the present start of the container, and is
// empty when it is unknown.
func parseOverrides(data []byte, now time.Time, start string) overridesFact {
	refused := func(format string, args ...any) overridesFact {
		return overridesFact{read.Invalid(format, args...), map[string][]override{}}
	}
	if problem := policy.JSONExcess(data); problem != "" {
		return refused("%s", problem)
	}
	var all []policy.Override
	if err := json.Unmarshal(data, &all); err != nil {
		return refused("not a JSON array of overrides")
	}
	f := overridesFact{read.Recorded, map[string][]override{}}
	for _, o := range all {
		if o.Profile == "" || o.Rule == "" {
			return refused("an override without a profile or a rule")
		}
		name := read.Bounded(o.Profile, 255)
		f.Profiles[name] = append(f.Profiles[name], override{
			Rule: read.Bounded(o.Rule, 255), Code: read.Bounded(o.Code, 256), Until: read.Bounded(o.Until, 64), AtUnix: o.AtUnix,
			Active: o.Active(now, start),
		})
	}
	if len(f.Profiles) == 0 {
		f.Status = policy.StatusEmpty
	}
	return f
}

// containerStart identifies the present start of the container: the boot of the kernel, and
// when PID 1 started, in clock ticks. It is empty when it is unknown.
func containerStart(proc read.Proc) string {
	boot := proc.Kernel("random/boot_id")
	first, err := proc.Process(1)
	if boot == "" || err != nil {
		return ""
	}
	return boot + "/" + strconv.FormatUint(first.Started, 10)
}
