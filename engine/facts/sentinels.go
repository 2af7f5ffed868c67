package facts

import (
	"context"

	"hermes-reconcile/policy"
)

type sentinelsFact struct {
	outcome
	EStop               estop `json:"estop"`
	DrainRequest        bool  `json:"drain_request"`
	FleetRestartPending bool  `json:"fleet_restart_pending"`
}

type estop struct {
	Present bool   `json:"present"`
	Reason  string `json:"reason,omitempty"`
}

// sentinels are files in the home whose being there says something. Whatever
// they are, a link or a directory too, they are there.
func sentinels(c Config) Source {
	return Source{"sentinels", sentinelsSchema, func(context.Context) (any, error) {
		f := sentinelsFact{outcome: recorded}
		f.EStop.Present = present(c.Root, "ESTOP")
		f.DrainRequest = present(c.Root, ".drain_request.json")
		f.FleetRestartPending = present(c.Root, "fleet_restart_pending")
		if f.EStop.Present {
			data, out := readFile(c.Root, "ESTOP", maxState)
			if out.Status == "" {
				f.EStop.Reason = firstLine(data, 256)
			}
		}
		return f, nil
	}}
}

func present(dir policy.Directory, name string) bool {
	_, err := dir.Lstat(name)
	return err == nil
}

func sentinelsSchema() string {
	return fact(byAgent, "files in the home that stop or hold the fleet", properties{
		"estop": object("the file ESTOP: nothing should run", properties{
			"present": boolean("it is there"),
			"reason":  text("its first line, without what cannot be printed; absent when empty or not readable"),
		}),
		"drain_request":         boolean("the file .drain_request.json is there"),
		"fleet_restart_pending": boolean("the file fleet_restart_pending is there"),
	})
}
