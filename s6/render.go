package s6

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/beneath"
	"hermes-reconcile/s6/supervise"
)

// The exit codes after which a gateway stays down, unless a rule changes that: an
// intended stop, and a configuration that cannot work.
var neverByDefault = []string{"0", "78"}

// exitNever is the exit code of a finish script that ends restarts, as in the s6
// documentation.
const exitNever = 125

// markerVersion grows when the layout of a slot changes its meaning.
const markerVersion = 1

// A marker is the content of markerName. The finish script's helper carries out its
// Restart.
type marker struct {
	Profile string          `json:"profile"`
	Version int             `json:"version"`
	Restart *policy.Restart `json:"restart,omitempty"`
}

// A renderer writes the files of slots. It quotes once what all slots share.
type renderer struct {
	runHead, command, args string // of run: the slot and the environment, and the profile, come between
	slot                   func(profile string) string
	logHead                string // of log/run: the directory follows
	logs                   string // the directory of all logs
	finish                 []byte
	died                   string // the words that run Executor.Died
	mayRunDied             func() error
}

// newRenderer fails when a setting cannot be in a shell script, and when root must not
// run a program of the scripts.
func newRenderer(e *Executor) (*renderer, error) {
	p, err := e.findPrograms()
	if err != nil {
		return nil, err
	}
	return e.rendererWith(p)
}

// rendererWith makes scripts of these programs. Root runs only these, by their paths and
// with rootPath. What comes after s6-setuidgid runs as the user: only there are the
// container's environment, and directories on the volume.
func (e *Executor) rendererWith(p programs) (*renderer, error) {
	q := &quoter{}
	home, shell := q.quote(e.Home), q.quote(e.Shell)
	head := "#!" + e.Shell + "\n# Made by hermes-reconcile, which makes it anew when it changes.\nset -e\numask 022\n"
	setPath := "export PATH=" + rootPath + "\n"
	// An id that fails ends the script, because the gateway must not run as root.
	dropUser := "uid=$(" + p.id + " -u)\n" +
		"if [ \"$uid\" = 0 ]; then set -- " + q.quote(p.setuidgid) + " " + q.quote(e.User.account()) + "; else set --; fi\n"
	makeDirAndLog := `mkdir -p "$1" && rm -f "$1/lock" && exec ` + q.quote(p.log) + ` 1 n10 s1000000 T "$1"`
	var contenv []string
	if e.Contenv != "" {
		contenv = []string{e.Contenv}
	}
	r := &renderer{
		runHead: head + "path=$PATH\n" + setPath + startBlock(p.rm, p.sleep) + dropUser +
			"exec \"$@\" " + p.env + " \"PATH=$path\"" + q.words(contenv) + " " + p.env +
			" HOME=" + home + " HERMES_S6_SUPERVISED_CHILD=1 HERMES_SUPERVISED_CHILD=1 " + supervise.SlotVariable + "=",
		slot:    func(profile string) string { return e.slotPath(policy.SlotName(profile)) },
		command: " " + shell + " -c 'cd \"$1\" && shift && exec \"$@\"' gateway " + home + q.words(e.Command),
		args:    q.words(e.Args) + "\n",
		logHead: head + setPath + dropUser + "exec \"$@\" " + shell + " -c " + q.quote(makeDirAndLog) + " logger ",
		logs:    strings.TrimSuffix(e.Home, "/") + "/logs/gateways/",
		finish:  finishScript(nil, ""),
		died:    "umask 022\nexec " + p.env + " -i PATH=" + rootPath + q.words(e.Died),
		// Most passes need no helper.
		mayRunDied: sync.OnceValue(func() error {
			if len(e.Died) == 0 {
				return errors.New("there is no program that counts them")
			}
			return CheckProgram(e.Died[0])
		}),
	}
	return r, q.err
}

// files returns the files of a slot, without the down file, in the order in which they
// are made: run is last. An error is about this profile only, for example a value that
// a shell script cannot hold.
func (r *renderer) files(profile string, env map[string]string, restart *policy.Restart) ([]beneath.File, error) {
	if err := checkProfile(profile); err != nil {
		return nil, err
	}
	run, err := r.run(profile, env)
	if err != nil {
		return nil, err
	}
	logDir, err := syntax.Quote(r.logs+profile, syntax.LangPOSIX)
	if err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	mark, err := json.Marshal(marker{Profile: profile, Version: markerVersion, Restart: restart})
	if err != nil {
		return nil, err
	}
	finish := r.finish
	if restart != nil {
		helper := ""
		if countsDeaths(restart) && r.mayRunDied() == nil {
			helper = r.died
		}
		finish = finishScript(restart, helper)
	}
	return []beneath.File{
		{Name: "log/run", Mode: 0o755, Content: []byte(r.logHead + logDir + "\n")},
		{Name: "finish", Mode: 0o755, Content: finish},
		{Name: "type", Mode: 0o644, Content: longrun},
		{Name: markerName, Mode: 0o644, Content: append(mark, '\n')},
		{Name: "run", Mode: 0o755, Content: run},
	}, nil
}

// fileNames are the names of the files of every slot.
var fileNames = []string{"log/run", "finish", "type", markerName, "run"}

var longrun = []byte("longrun\n")

// run is the run script, which s6-supervise starts in the service directory. It sets
// the environment of rules after the change of the user: root must not use a PATH from
// a fact that the agent wrote.
func (r *renderer) run(profile string, env map[string]string) ([]byte, error) {
	q := &quoter{}
	var b bytes.Buffer
	b.Grow(1 << 10) // most have less
	b.WriteString(r.runHead + q.quote(r.slot(profile)))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !envName.MatchString(name) {
			return nil, fmt.Errorf("%q is not the name of an environment variable", name)
		}
		b.WriteString(" " + q.quote(name+"="+env[name]))
	}
	b.WriteString(r.command)
	if profile != policy.RootProfile {
		b.WriteString(" -p " + q.quote(profile))
	}
	b.WriteString(r.args)
	return b.Bytes(), q.err
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// changedName exists from the moment that the run script of a slot is replaced until
// the new one is started.
const changedName = "data/changed"

// pauseName holds how many seconds the next start waits, in the format of sleep: a
// delay of the rules, or a pause after a death. The run script removes it afterwards.
const pauseName = "data/pause"

// startBlock is what every run script does first, in the service directory. A stop
// ends the pause and leaves no process behind, also when it comes just before the
// pause: a process that is about to become sleep may lose a TERM, but never a KILL.
func startBlock(rm, sleep string) string {
	return "[ ! -e " + changedName + " ] || " + rm + " -f " + changedName + "\n" +
		"if [ -s " + pauseName + " ]; then\n" +
		"\ttrap 'kill -KILL $! 2>/dev/null || :; " + rm + " -f " + pauseName + "; exit 143' TERM INT HUP\n" +
		"\tread -r seconds <" + pauseName + "\n" +
		"\t" + sleep + " \"$seconds\" >/dev/null 2>&1 &\n" +
		"\twait $! || :\n" +
		"\ttrap - TERM INT HUP\n" +
		"\t" + rm + " -f " + pauseName + "\n" +
		"fi\n"
}

// pauseFile makes the next start of a slot wait; ok is false when it need not wait.
func pauseFile(seconds float64) (f beneath.File, ok bool) {
	if seconds <= 0 {
		return beneath.File{}, false
	}
	text := strconv.FormatFloat(seconds, 'f', -1, 64) + "\n"
	return beneath.File{Name: pauseName, Mode: 0o644, Content: []byte(text)}, true
}

// finishScript answers the death of a gateway. s6-supervise calls it with the exit
// code, 256 when a signal ended the gateway, and the signal. The script itself has the
// exit codes that end restarts; the helper counts deaths and sets pauses. A helper that
// is missing or fails never keeps a gateway down.
func finishScript(restart *policy.Restart, helper string) []byte {
	never := slices.Clone(neverByDefault)
	if restart != nil {
		for code, answer := range restart.ExitCodes {
			never = slices.DeleteFunc(never, func(c string) bool { return c == code })
			if answer == "never" {
				never = append(never, code)
			}
		}
	}
	slices.SortFunc(never, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	text := "#!/bin/sh\n# $1 is the exit code, 256 after a signal; " + strconv.Itoa(exitNever) + " means: leave it down.\n"
	if len(never) > 0 {
		text += "case \"$1\" in\n" + strings.Join(never, "|") + ") exit " + strconv.Itoa(exitNever) + " ;;\nesac\n"
	}
	if helper != "" {
		return []byte(text + helper + " \"$@\"\n")
	}
	return []byte(text + "exit 0\n")
}

// countsDeaths reports whether a restart rule needs Executor.Died.
func countsDeaths(r *policy.Restart) bool {
	return r != nil && (r.Budget != nil || slices.Contains(slices.Collect(maps.Values(r.ExitCodes)), "backoff"))
}

// A quoter writes words for a POSIX shell and keeps the first error.
type quoter struct{ err error }

func (q *quoter) quote(word string) string {
	quoted, err := syntax.Quote(word, syntax.LangPOSIX)
	if err != nil && q.err == nil {
		q.err = fmt.Errorf("%q cannot be written in a shell script: %w", word, err)
	}
	return quoted
}

// words writes each word with a space before it.
func (q *quoter) words(list []string) string {
	var b strings.Builder
	for _, word := range list {
		b.WriteString(" " + q.quote(word))
	}
	return b.String()
}
