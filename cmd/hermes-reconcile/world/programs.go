package world

import (
	"errors"
	"fmt"
	"os"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/inspect"
	"hermes-reconcile/s6/scripts"
)

// DiedName is the hidden command that finish scripts call.
const DiedName = "died"

// trustPrograms empties the keys that name a program which root must not run, so that
// their defaults count. The error has all of them.
func trustPrograms(c *config.Config) error {
	var errs []error
	for _, key := range []struct {
		name  string
		value *string
		check func(string) error
	}{
		{"s6.tools", &c.S6.Tools, scripts.CheckTools},
		{"s6.shell", &c.S6.Shell, scripts.CheckProgram},
		{"s6.program", &c.S6.Program, scripts.CheckProgram},
	} {
		if *key.value == "" {
			continue
		}
		if err := key.check(*key.value); err != nil {
			errs = append(errs, fmt.Errorf("configuration: %s: %w", key.name, err))
			*key.value = ""
		}
	}
	return errors.Join(errs...)
}

// slotProgram is this program for the scripts of slots. The installed program comes before
// the one that runs now, which may be gone later. The executor refuses a program that others
// than root could have written.
func slotProgram(c config.Config) string {
	program := c.S6.Program
	if program == "" {
		program = inspect.InstalledProgram
		if _, err := os.Stat(program); err != nil {
			program, _ = os.Executable()
		}
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
