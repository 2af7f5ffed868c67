package facts

import (
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type sentinelsFact struct {
	read.Outcome
	EStop               estop     `json:"estop" about:"the file ESTOP: nothing should run"`
	DrainRequest        bool      `json:"drain_request" about:"the file .drain_request.json exists"`
	Migration           migration `json:"migration" about:"gateway_migration.json: upstream's gateway migrate moves the gateways of the profiles into one, or has moved them"`
	FleetRestartPending bool      `json:"fleet_restart_pending" about:"the file fleet_restart_pending exists"`
}

type estop struct {
	Present bool   `json:"present" about:"the file exists"`
	Reason  string `json:"reason,omitempty" about:"first line of the file, without characters that cannot be printed; absent when empty or not readable"`
}

type migration struct {
	Status    string   `json:"status" about:"how reading it went; missing: there is no migration" words:"status"`
	SinceUnix *int64   `json:"since_unix,omitempty" about:"migrated_at in seconds since 1970"`
	Profiles  []string `json:"profiles" about:"secondaries: the profiles whose own gateways it ended, at most 1000" of:"profile"`
}

func describeMigration(keys read.Object, out read.Outcome) migration {
	m := migration{out.Status, keys.Moment("migrated_at"), []string{}}
	if moved := read.Value[[]struct{ Profile string }](&keys, "secondaries"); moved != nil {
		for _, one := range (*moved)[:min(len(*moved), maxServed)] {
			m.Profiles = append(m.Profiles, read.Bounded(one.Profile, 255))
		}
	}
	return m
}

// sentinels are files in the home whose mere existence means something, even as a link or a
// directory.
func (c Config) sentinels() sentinelsFact {
	f := sentinelsFact{Outcome: read.Recorded}
	f.EStop.Present = present(c.Root, "ESTOP")
	f.DrainRequest = present(c.Root, ".drain_request.json")
	f.FleetRestartPending = present(c.Root, "fleet_restart_pending")
	f.Migration = describeMigration(read.JSON(c.Root, "gateway_migration.json", read.MaxState))
	if f.EStop.Present {
		data, _ := read.File(c.Root, "ESTOP", read.MaxState)
		f.EStop.Reason = read.FirstLine(data, 256)
	}
	return f
}

func present(dir policy.Directory, name string) bool {
	_, err := dir.Lstat(name)
	return err == nil
}
