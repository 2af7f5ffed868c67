package facts

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

// How much of the arguments is shown.
const (
	maxArgs = 64
	maxArg  = 256
)

type commandFact struct {
	outcome
	Argv        []string `json:"argv"`
	Role        string   `json:"role"`
	Profile     string   `json:"profile,omitempty"`
	NoSupervise bool     `json:"no_supervise"`
	Source      string   `json:"source"`
}

// command finds the main command of the container: that of the rc.init of
// s6-overlay, else PID 1.
func command(c Config) Source {
	return Source{"command", commandSchema, func(context.Context) (any, error) {
		argv, source, err := c.mainCommand()
		if err != nil {
			return commandFact{outcome: outcome{policy.StatusUnreadable, "the command of PID 1 cannot be read"}, Argv: []string{}, Role: "none", Source: "none"}, nil
		}
		return describeCommand(argv, source), nil
	}}
}

func commandSchema() string {
	return fact(byImage, "the main command of the container, from /proc", properties{
		"argv":         list("arguments from the command word on, cut to 64 of 256 bytes; values that look secret are redacted", text("one argument").from(byOperator)).from(byOperator),
		"role":         word("what the container is for, from the first words; none without a main command", "gateway run", "dashboard", "serve", "gui", "desktop", "chat", "sleep", "other", "none").from(byOperator),
		"profile":      text("value of -p or --profile; absent without one").from(byOperator),
		"no_supervise": boolean("--no-supervise was given").from(byOperator),
		"source":       word("s6: the argument of s6-overlay's rc.init; pid1: PID 1 itself, where that is not s6-svscan", "s6", "pid1", "none"),
	})
}

// mainCommand returns the arguments of the main command. s6-overlay runs it from
// a shell that runs rc.init, a child of PID 1 with its user. Any process may
// have such arguments, so parent and user must be right too; among several the
// oldest counts.
func (c Config) mainCommand() (argv []string, source string, err error) {
	comm, err := c.procFile(1, "comm")
	if err != nil {
		return nil, "none", err
	}
	if strings.TrimSpace(string(comm)) != "s6-svscan" {
		argv, err := c.argv(1)
		if err != nil {
			return nil, "none", err
		}
		return launched(argv), "pid1", nil
	}
	owner, err := c.uids(1)
	if err != nil {
		return nil, "none", err
	}
	pids, err := c.processes()
	if err != nil {
		return nil, "none", err
	}
	oldest := process{}
	for _, pid := range pids {
		p, candidate, err := c.mainCandidate(pid, owner)
		if err == nil && (argv == nil || p.started < oldest.started) {
			oldest, argv = p, candidate
		}
	}
	if argv == nil {
		return nil, "none", nil
	}
	return launched(argv), "s6", nil
}

var errNotMain = errors.New("not the main command")

// mainCandidate returns the main command as rc.init has it, if this process is
// that.
func (c Config) mainCandidate(pid int, owner []string) (process, []string, error) {
	argv, err := c.argv(pid)
	if err != nil {
		return process{}, nil, err
	}
	main := afterRcInit(argv)
	if main == nil {
		return process{}, nil, errNotMain
	}
	p, err := c.process(pid)
	if err != nil {
		return process{}, nil, err
	}
	uids, err := c.uids(pid)
	if err != nil {
		return process{}, nil, err
	}
	if p.parent != 1 || !slices.Equal(uids, owner) {
		return process{}, nil, errNotMain
	}
	return p, main, nil
}

// afterRcInit returns what follows "sh -e <dir>/scripts/rc.init top", or nil.
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

// Programs that only start the next one.
var (
	wrappers     = []string{"main-wrapper.sh", "entrypoint-dispatch.sh", "entrypoint.sh"}
	initPrograms = []string{"tini", "docker-init", "dumb-init", "catatonit"}
	interpreters = []string{"sh", "bash", "dash", "ash", "env", "python", "python3"}
)

// launched cuts what leads to the command word: an init program, the image's
// wrappers with the interpreters that run them, and hermes itself.
func launched(argv []string) []string {
	for len(argv) > 0 {
		program := path.Base(argv[0])
		switch {
		case program == "hermes":
			if len(argv) == 1 {
				return []string{"chat"} // what hermes does without arguments
			}
			return argv[1:]
		case slices.Contains(wrappers, program):
			if len(argv) == 1 {
				return []string{"chat"}
			}
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

// withoutOptions drops the options in front; "-c" takes a script, which is not
// one of ours.
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
	f := commandFact{outcome: recorded, Argv: shownArgs(argv), Role: roleOf(argv), Source: source}
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
		case name == "--profile" && joined:
			f.Profile = bounded(value, maxArg)
		case (arg == "-p" || arg == "--profile") && i+1 < len(argv):
			f.Profile = bounded(argv[i+1], maxArg)
		}
	}
	return f
}

// roleOf names what the first words mean; options in front are passed over.
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

// commandWords are the arguments that are neither options nor the name of a
// profile.
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

// shownArgs are the arguments without what may be secret: the value of an option
// or variable that looks so, joined to it or behind it.
func shownArgs(argv []string) []string {
	shown := make([]string, 0, min(len(argv), maxArgs))
	hide := false
	for _, arg := range argv[:min(len(argv), maxArgs)] {
		name, _, joined := strings.Cut(arg, "=")
		secret := looksSecret(strings.TrimLeft(name, "-"))
		switch {
		case hide && !strings.HasPrefix(arg, "-"):
			arg = redacted
		case joined && secret:
			arg = name + "=" + redacted
		}
		hide = !joined && secret && strings.HasPrefix(arg, "-")
		shown = append(shown, bounded(withoutUserinfo(arg), maxArg))
	}
	return shown
}
