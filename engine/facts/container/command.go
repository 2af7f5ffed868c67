package container

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// How much of the arguments is shown.
const (
	maxArgs = 64
	maxArg  = 256
)

type commandFact struct {
	read.Outcome
	Argv        []string `json:"argv" about:"arguments from the command word on, cut to 64 arguments of 256 bytes; values that look secret are redacted" of:"one argument" by:"operator"`
	Role        string   `json:"role" about:"what the container is for, by the first words; none without a main command" words:"gateway run,dashboard,serve,gui,desktop,chat,sleep,other,none" by:"operator"`
	Profile     string   `json:"profile,omitempty" about:"value of -p or --profile; absent without this option" by:"operator"`
	NoSupervise bool     `json:"no_supervise" about:"--no-supervise was given" by:"operator"`
	Source      string   `json:"source" about:"s6: the argument of s6-overlay's rc.init; pid1: PID 1 itself, if it is not s6-svscan" words:"s6,pid1,none"`
}

// command is the main command of the container: that of the rc.init of s6-overlay, else
// PID 1.
func (c Config) command() commandFact {
	argv, source, err := c.mainCommand()
	if err != nil {
		return commandFact{Outcome: read.Outcome{Status: policy.StatusUnreadable, Error: "the command of PID 1 cannot be read"}, Argv: []string{}, Role: "none", Source: "none"}
	}
	return describeCommand(argv, source)
}

// mainCommand returns the arguments of the main command. s6-overlay starts it from a shell
// that runs rc.init. Any process may have the arguments of that shell, so it must also be a
// child of PID 1 and have its user. The oldest such process wins.
func (c Config) mainCommand() (argv []string, source string, err error) {
	comm, err := c.Proc.Read("1", "comm")
	if err != nil {
		return nil, "none", err
	}
	if strings.TrimSpace(string(comm)) != "s6-svscan" {
		argv, err := c.Proc.Argv(1)
		if err != nil {
			return nil, "none", err
		}
		return launched(argv), "pid1", nil
	}
	owner, err := c.Proc.UIDs(1)
	pids, pidsErr := c.Proc.Processes()
	if err := cmp.Or(err, pidsErr); err != nil {
		return nil, "none", err
	}
	var oldest uint64
	for _, pid := range pids {
		candidate, started := c.mainCandidate(pid, owner)
		if candidate != nil && (argv == nil || started < oldest) {
			argv, oldest = candidate, started
		}
	}
	if argv == nil {
		return nil, "none", nil
	}
	return launched(argv), "s6", nil
}

// mainCandidate returns the main command as the process has it behind rc.init, and when the
// process started. The command is nil for any other process.
func (c Config) mainCandidate(pid int, owner []string) (main []string, started uint64) {
	argv, err := c.Proc.Argv(pid)
	if err != nil || afterRcInit(argv) == nil {
		return nil, 0
	}
	p, err := c.Proc.Process(pid)
	uids, uidsErr := c.Proc.UIDs(pid)
	if err != nil || uidsErr != nil || p.Parent != 1 || !slices.Equal(uids, owner) {
		return nil, 0
	}
	return afterRcInit(argv), p.Started
}

// afterRcInit returns the arguments after "sh -e <dir>/scripts/rc.init top", or nil.
func afterRcInit(argv []string) []string {
	if len(argv) < 3 || !slices.Contains([]string{"sh", "dash", "bash", "ash", "busybox"}, path.Base(argv[0])) {
		return nil
	}
	rest := argv[1:]
	for len(rest) > 0 && (rest[0] == "-e" || rest[0] == "sh") {
		rest = rest[1:]
	}
	if len(rest) < 3 || !strings.HasPrefix(rest[0], "/") || !strings.HasSuffix(rest[0], "/scripts/rc.init") || rest[1] != "top" {
		return nil
	}
	return rest[2:]
}

// Programs that only start another one.
var (
	wrappers     = []string{"main-wrapper.sh", "entrypoint-dispatch.sh", "entrypoint.sh"}
	initPrograms = []string{"tini", "docker-init", "dumb-init", "catatonit"}
	interpreters = []string{"sh", "bash", "dash", "ash", "env", "python", "python3"}
)

// launched cuts off the programs in front of the command word: an init program, the image's
// wrappers with the interpreters that run them, and hermes itself.
func launched(argv []string) []string {
	for len(argv) > 0 {
		program := path.Base(argv[0])
		switch {
		case len(argv) == 1 && (program == "hermes" || slices.Contains(wrappers, program)):
			return []string{"chat"} // what hermes does without arguments
		case program == "hermes":
			return argv[1:]
		case slices.Contains(wrappers, program):
			argv = argv[1:]
		case slices.Contains(initPrograms, program):
			argv = withoutOptions(argv[1:])
		case slices.Contains(interpreters, program) || strings.HasPrefix(program, "python3."):
			script := withoutOptions(argv[1:])
			if len(script) == 0 || !(path.Base(script[0]) == "hermes" || slices.Contains(wrappers, path.Base(script[0]))) {
				return argv
			}
			argv = script
		default:
			return argv
		}
	}
	return argv
}

// withoutOptions drops the options in front. After "-c" comes a script, which is not a program
// of the image.
func withoutOptions(argv []string) []string {
	for len(argv) > 0 && strings.HasPrefix(argv[0], "-") {
		if argv[0] == "-c" {
			return nil
		}
		argv = argv[1:]
	}
	return argv
}

func describeCommand(argv []string, source string) commandFact {
	f := commandFact{Outcome: read.Recorded, Argv: shownArgs(argv), Role: roleOf(argv), Source: source}
	if len(argv) == 0 {
		f.Status = policy.StatusMissing
		return f
	}
	for i, arg := range argv {
		name, value, joined := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return f
		case arg == "--no-supervise":
			f.NoSupervise = true
		case (name == "-p" || name == "--profile") && joined:
			f.Profile = read.Bounded(value, maxArg)
		case (arg == "-p" || arg == "--profile") && i+1 < len(argv):
			f.Profile = read.Bounded(argv[i+1], maxArg)
		}
	}
	return f
}

// roleOf returns what the first words mean. It skips options in front of them.
func roleOf(argv []string) string {
	words := commandWords(argv)
	switch {
	case len(argv) == 0:
		return "none"
	case len(words) == 0:
		return "chat"
	case words[0] == "gateway" && len(words) > 1 && words[1] == "run":
		return "gateway run"
	case path.Base(words[0]) == "sleep":
		return "sleep"
	case slices.Contains([]string{"dashboard", "serve", "gui", "desktop", "chat"}, words[0]):
		return words[0]
	}
	return "other"
}

// commandWords returns the arguments that are neither options nor the name of a profile.
func commandWords(argv []string) []string {
	var words []string
	for i := 0; i < len(argv); i++ {
		switch arg := argv[i]; {
		case arg == "-p" || arg == "--profile":
			i++
		case !strings.HasPrefix(arg, "-"):
			words = append(words, arg)
		}
	}
	return words
}

// shownArgs returns the arguments without secrets: it redacts the value of each option or
// variable that looks secret by its name, whether joined to the name or behind it.
func shownArgs(argv []string) []string {
	shown := make([]string, 0, min(len(argv), maxArgs))
	hide := false
	for _, arg := range argv[:min(len(argv), maxArgs)] {
		name, _, joined := strings.Cut(arg, "=")
		secret := policy.NamesSecret(strings.TrimLeft(name, "-"))
		switch {
		case hide && !strings.HasPrefix(arg, "-"):
			arg = fact.Redacted
		case joined && secret:
			arg = name + "=" + fact.Redacted
		}
		hide = !joined && secret && strings.HasPrefix(arg, "-")
		shown = append(shown, read.Bounded(fact.WithoutUserinfo(arg), maxArg))
	}
	return shown
}
