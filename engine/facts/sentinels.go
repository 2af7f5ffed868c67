package facts

import (
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type sentinelsFact struct {
	read.Outcome
	EStop               estop `json:"estop" about:"the file ESTOP: nothing should run"`
	DrainRequest        bool  `json:"drain_request" about:"the file .drain_request.json exists"`
	FleetRestartPending bool  `json:"fleet_restart_pending" about:"the file fleet_restart_pending exists"`
}

type estop struct {
	Present bool   `json:"present" about:"the file exists"`
	Reason  string `json:"reason,omitempty" about:"first line of the file, without characters that cannot be printed; absent when empty or not readable"`
}

// sentinels are files in the home whose mere existence means something, even as a link or a
// directory.
func sentinels(c Config) Source {
	return containerFact("sentinels", byAgent, "files in the home that stop or hold the fleet", func() sentinelsFact {
		f := sentinelsFact{Outcome: read.Recorded}
		f.EStop.Present = present(c.Root, "ESTOP")
		f.DrainRequest = present(c.Root, ".drain_request.json")
		f.FleetRestartPending = present(c.Root, "fleet_restart_pending")
		if f.EStop.Present {
			data, _ := read.File(c.Root, "ESTOP", read.MaxState)
			f.EStop.Reason = read.FirstLine(data, 256)
		}
		return f
	})
}

func present(dir policy.Directory, name string) bool {
	_, err := dir.Lstat(name)
	return err == nil
}
