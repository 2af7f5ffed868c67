package world

import (
	"cmp"
	"os"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/inspect"
)

// DiedName is the hidden command that finish scripts call.
const DiedName = "died"

// slotProgram is this program for the scripts of slots. The installed program comes before
// the one that runs now, which may be gone later. The executor refuses a program that others
// than root could have written.
func slotProgram(c config.Config) string {
	program := cmp.Or(c.S6.Program, inspect.InstalledProgram)
	if _, err := os.Stat(program); err != nil && c.S6.Program == "" {
		program, _ = os.Executable()
	}
	return program
}

// diedCommand is how a finish script calls this program back.
func diedCommand(c config.Config) []string {
	return []string{slotProgram(c), DiedName, "--home", c.Home, "--user", c.User, "--"}
}

// WatchCommand is what the service runs: the same configuration as now, whatever the working
// directory.
func WatchCommand(c config.Config) []string {
	if !c.Watch.Enabled {
		return nil
	}
	return append([]string{slotProgram(c), "watch"}, c.Given...)
}
