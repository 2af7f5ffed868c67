package facts

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hermes-reconcile/policy"
)

type overridesFact struct {
	outcome
	Profiles map[string][]override `json:"profiles"`
}

type override struct {
	Rule   string `json:"rule"`
	Code   string `json:"code,omitempty"`
	Until  string `json:"until,omitempty"`
	AtUnix int64  `json:"at_unix"`
	Active bool   `json:"active"`
}

// overrides are the holds that an operator has set aside. They count only when no other
// user could have written them.
func overrides(c Config) Source {
	return Source{"overrides", overridesSchema, func(context.Context) (any, error) {
		if c.StateDir == "" {
			return overridesFact{outcome{Status: policy.StatusMissing}, map[string][]override{}}, nil
		}
		data, out := readTrusted(filepath.Join(c.StateDir, policy.OverridesFile))
		if out.Status != "" {
			return overridesFact{out, map[string][]override{}}, nil
		}
		return parseOverrides(data, c.Now(), ContainerStart(c.Proc)), nil
	}}
}

func overridesSchema() string {
	return fact(byOperator, "holds of rules that an operator has set aside, from "+policy.OverridesFile+" in the state directory; unreadable where others could have written it", properties{
		"profiles": byName("by profile", list("what was set aside", object("one of them", properties{
			"rule":    text("the rule package whose holds do not count"),
			"code":    text("the code of the hold"),
			"until":   text("when it ends, as RFC 3339; absent: with the next start of the container"),
			"at_unix": integer("when it was given, in seconds since 1970"),
			"active":  boolean("it has not ended"),
		}))),
	})
}

func readTrusted(path string) ([]byte, outcome) {
	f, _, out := openTrusted(path, os.Geteuid())
	if out.Status != "" {
		return nil, out
	}
	defer f.Close()
	return readAll(f, maxConfig)
}

// parseOverrides reads the list; start identifies the present start of the
// container, empty when that is not known.
func parseOverrides(data []byte, now time.Time, start string) overridesFact {
	f := overridesFact{recorded, map[string][]override{}}
	var all []policy.Override
	if problem := policy.JSONExcess(data); problem != "" {
		f.outcome = invalid("%s", problem)
		return f
	}
	if err := json.Unmarshal(data, &all); err != nil {
		f.outcome = invalid("not a JSON array of overrides")
		return f
	}
	for _, o := range all {
		if o.Profile == "" || o.Rule == "" {
			f.outcome = invalid("an override without a profile or a rule")
			f.Profiles = map[string][]override{}
			return f
		}
		name := bounded(o.Profile, 255)
		f.Profiles[name] = append(f.Profiles[name], override{
			Rule: bounded(o.Rule, 255), Code: bounded(o.Code, maxWord), Until: bounded(o.Until, 64), AtUnix: o.AtUnix,
			Active: o.Active(now, start),
		})
	}
	if len(f.Profiles) == 0 {
		f.Status = policy.StatusEmpty
	}
	return f
}

// ContainerStart identifies the present start of the container: the boot of the
// kernel, and when PID 1 started in clock ticks, both from the directory proc,
// usually "/proc". It is empty when that cannot be known.
func ContainerStart(proc string) string {
	c := Config{Proc: proc}
	boot := c.kernelText("random/boot_id")
	first, err := c.process(1)
	if boot == "" || err != nil {
		return ""
	}
	return boot + "/" + strconv.FormatUint(first.started, 10)
}
