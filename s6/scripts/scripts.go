// Package scripts knows the files of a slot: the scripts that s6-supervise runs as root,
// the programs that these scripts run, and the files in the directory data by which this
// program, the scripts and their helper speak to each other.
package scripts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/supervise"
)

// exitNever is the exit code of a finish script that ends restarts, as in the s6
// documentation.
const exitNever = 125

// The files that this program, the scripts of a slot and their helper share.
const (
	// MarkerName is the file that only slots of ours have.
	MarkerName = "data/hermes-reconcile.json"
	// ChangedName exists from the moment that the run script of a slot is replaced until
	// the new one is started.
	ChangedName = "data/changed"
	// PauseName holds how many seconds the next start waits, in the format of sleep: a
	// delay of the rules, or a pause after a death. The run script removes it afterwards.
	PauseName = "data/pause"
	// OOMName holds how many processes the container had lost for want of memory when the
	// gateway started. Only the slots of rules that answer to that have it.
	OOMName = "data/oom_kills"
)

// OOMFiles are the files of the container's control group that count such processes, in
// the line oom_kill: of version 2, and of version 1.
var OOMFiles = []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"}

// markerVersion grows when the layout of a slot changes its meaning.
const markerVersion = 1

// A Marker is the content of MarkerName. The finish script's helper carries out its
// Restart.
type Marker struct {
	Profile string          `json:"profile"` // empty: the service that watches
	Version int             `json:"version"`
	Restart *policy.Restart `json:"restart,omitempty"`
}

// Settings are what the scripts of all slots share. A zero field has the default that its
// comment names.
type Settings struct {
	Home    string   // on the volume: HERMES_HOME of the gateways; has logs/gateways
	UserDir string   // HOME and working directory of the gateways, where it is a directory; else Home: /opt/data
	Command []string // such as hermes
	Args    []string // such as gateway run --replace; after -p NAME
	Stderr  string   // of the gateways: StderrContainer, or the log of each
	Contenv string   // runs a gateway with the container's environment: /command/with-contenv where that exists

	ProgramDirs []string // where programs of the scripts are looked for: programDirs

	// Died is the command that a finish script runs, with the arguments that
	// s6-supervise gave it, when a restart rule needs it, see NeedsHelper. The command
	// calls deaths.Death.Answer in the service directory and exits with 125 when the
	// gateway is to stay down. Without it, or when root must not run it, only exit
	// codes decide.
	Died []string

	// Watch is the command of the service that keeps the gateways as decided: empty for
	// none. Root runs it.
	Watch []string
}

// StderrContainer leaves standard error of the gateways to that of s6-svscan, the
// container's log.
const StderrContainer = "container"

// A Renderer writes the files of slots. It quotes once what all slots share.
type Renderer struct {
	start, drop   string // of run: what notes the memory comes between
	watch         string // what run of the service does after start
	command, args string // of run: the slot and the environment come before, the profile between
	scan          string
	logHead       string // of log/run: the directory follows
	logs          string // the directory of all logs
	finish        []byte
	watchFinish   []byte
	died          string // the words that run Settings.Died

	// Lacking says which programs of the scripts are nowhere. A slot cannot run without them.
	Lacking []string

	// MayRunDied tells why no helper counts deaths. Most passes need none.
	MayRunDied func() error
	// MayRunWatch tells why root must not run the command of the service, or with-contenv
	// for it.
	MayRunWatch func() error
}

// New makes a Renderer for the slots of a scan directory, by its absolute path. The account
// of the gateways is an argument of s6-setuidgid. New fails when a setting cannot be in a
// shell script, and when root must not run a program of the scripts.
func New(s Settings, scanDir, account string) (*Renderer, error) {
	if _, err := os.Stat(overlayContenv); err == nil {
		s.Contenv = cmp.Or(s.Contenv, overlayContenv)
	}
	p, lacking, err := s.findPrograms()
	if err != nil {
		return nil, err
	}
	r, err := s.with(p, scanDir, account)
	r.Lacking = lacking
	return r, err
}

// overlayContenv is where s6-overlay has the program for Settings.Contenv.
const overlayContenv = "/command/with-contenv"

// with makes scripts of these programs. Root runs only these, by their paths and
// with rootPath. What comes after s6-setuidgid runs as the user: only there are the
// container's environment, and directories on the volume.
func (s Settings) with(p programs, scanDir, account string) (*Renderer, error) {
	q := &quoter{}
	home := q.quote(s.Home)
	head := "#!" + shell + "\n# Made by hermes-reconcile, which makes it anew when it changes.\nset -e\numask 022\n"
	setPath := "export PATH=" + rootPath + "\n"
	// An id that fails ends the script, because the gateway must not run as root.
	dropUser := "uid=$(" + p.id + " -u)\n" +
		"if [ \"$uid\" = 0 ]; then set -- " + q.quote(p.setuidgid) + " " + q.quote(account) + "; else set --; fi\n"
	makeDirAndLog := `mkdir -p "$1" && rm -f "$1/lock" && exec ` + q.quote(p.log) + ` 1 n10 s1000000 T "$1"`
	redirect := " 2>&1\n"
	if s.Stderr == StderrContainer {
		redirect = "\n"
	}
	var contenv []string
	watch := "exec " + p.env + " \"PATH=$path\""
	if s.Contenv != "" {
		contenv = []string{s.Contenv}
		watch = "exec" + q.words(contenv)
	}
	r := &Renderer{
		start: head + "path=$PATH\n" + setPath + startBlock(p.rm, p.sleep),
		drop: dropUser +
			"exec \"$@\" " + p.env + " \"PATH=$path\"" + q.words(contenv) + " " + p.env +
			" HOME=" + home + " HERMES_HOME=" + home + " HERMES_S6_SUPERVISED_CHILD=1 HERMES_SUPERVISED_CHILD=1 " + supervise.SlotVariable + "=",
		scan:    scanDir,
		command: " " + shell + " -c " + q.quote(enterHome) + " gateway " + home + " " + q.quote(cmp.Or(s.UserDir, "/opt/data")) + q.words(s.Command),
		args:    q.words(s.Args) + redirect,
		logHead: head + setPath + "unset TZ\n" + dropUser + "exec \"$@\" " + shell + " -c " + q.quote(makeDirAndLog) + " logger ",
		logs:    strings.TrimSuffix(s.Home, "/") + "/logs/",
		finish:  finishScript(nil, ""),
		watch:   watch + q.words(s.Watch) + "\n",
		died:    "umask 022\nexec " + p.env + " -i PATH=" + rootPath + q.words(s.Died),
		MayRunDied: sync.OnceValue(func() error {
			if len(s.Died) == 0 {
				return errors.New("there is no program that counts them")
			}
			return CheckProgram(s.Died[0])
		}),
		watchFinish: []byte("#!/bin/sh\n# s6 starts the service again, whatever ended it.\n" + p.sleep + " 1\nexit 0\n"),
		MayRunWatch: sync.OnceValue(func() error {
			for _, program := range append(contenv, s.Watch[0]) {
				if err := CheckProgram(program); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	return r, q.err
}

// enterHome begins a gateway in the home $1, or like upstream's in the directory $2 of its
// user, which HOME then is too unless a rule has set it.
const enterHome = `if [ -d "$2" ]; then [ "$HOME" != "$1" ] || HOME=$2; cd "$2"; else cd "$1"; fi && shift 2 && exec "$@"`

// Files returns the files of a slot, without the down file, in the order in which they
// are made: run is last. An error is about this profile only, for example a value that
// a shell script cannot hold.
func (r *Renderer) Files(profile string, env map[string]string, restart *policy.Restart) ([]beneath.File, error) {
	if err := checkProfile(profile); err != nil {
		return nil, err
	}
	run, err := r.run(profile, env, restart)
	if err != nil {
		return nil, err
	}
	finish := r.finish
	if restart != nil {
		helper := ""
		if NeedsHelper(restart) && r.MayRunDied() == nil {
			helper = r.died
		}
		finish = finishScript(restart, helper)
	}
	return r.files("gateways/"+profile, Marker{Profile: profile, Version: markerVersion, Restart: restart}, run, finish)
}

// WatchFiles returns the files of the service, as Files does. Its logger writes to
// logs/hermes-reconcile in the home.
func (r *Renderer) WatchFiles() ([]beneath.File, error) {
	return r.files(policy.WatchSlot, Marker{Version: markerVersion}, []byte(r.start+r.watch), r.watchFinish)
}

func (r *Renderer) files(log string, marker Marker, run, finish []byte) ([]beneath.File, error) {
	logDir, err := syntax.Quote(r.logs+log, syntax.LangPOSIX)
	if err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	mark, _ := json.Marshal(marker) // plain values marshal
	return []beneath.File{
		{Name: "log/run", Mode: 0o755, Content: []byte(r.logHead + logDir + "\n")},
		{Name: "finish", Mode: 0o755, Content: finish},
		{Name: "type", Mode: 0o644, Content: longrun},
		{Name: MarkerName, Mode: 0o644, Content: append(mark, '\n')},
		{Name: "run", Mode: 0o755, Content: run},
	}, nil
}

// maxProfile is the length in bytes of the longest profile name. Its slot has a name of
// 250 bytes, and s6-svscan skips names over 251. Upstream's staging name,
// .gateway-<profile>.tmp, has the most that a file system allows, 255.
const maxProfile = 242

// checkProfile fails when a profile of this name can have no slot.
func checkProfile(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the profile has no name")
	case len(name) > maxProfile:
		return fmt.Errorf("the name has %d bytes, a slot takes at most %d", len(name), maxProfile)
	case strings.HasPrefix(name, "-"):
		return fmt.Errorf("the name starts with -, the gateway's command would take it for an option")
	case !utf8.ValidString(name), strings.ContainsAny(name, `/"`), strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("the name cannot be the name of a slot and an argument, want printable characters without / and \"")
	}
	return nil
}

// FileNames are the names of the files of every slot.
var FileNames = []string{"log/run", "finish", "type", MarkerName, "run"}

var longrun = []byte("longrun\n")

// run is the run script, which s6-supervise starts in the service directory. It sets
// the environment of rules after the change of the user: root must not use a PATH from
// a fact that the agent wrote.
func (r *Renderer) run(profile string, env map[string]string, restart *policy.Restart) ([]byte, error) {
	q := &quoter{}
	var b bytes.Buffer
	b.Grow(1 << 10) // most have less
	b.WriteString(r.start)
	if restart != nil && restart.ExitCodes[policy.EndingOOM] != "" {
		b.WriteString(noteOOM)
	}
	b.WriteString(r.drop + q.quote(path.Join(r.scan, policy.SlotName(profile))))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !policy.IsVariable(name) {
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

// startBlock is what every run script does first, in the service directory. A stop
// ends the pause and leaves no process behind, also when it comes just before the
// pause: a process that is about to become sleep may lose a TERM, but never a KILL.
func startBlock(rm, sleep string) string {
	return "[ ! -e " + ChangedName + " ] || " + rm + " -f " + ChangedName + "\n" +
		"if [ -s " + PauseName + " ]; then\n" +
		"\ttrap 'kill -KILL $! 2>/dev/null || :; " + rm + " -f " + PauseName + "; exit 143' TERM INT HUP\n" +
		"\tread -r seconds <" + PauseName + "\n" +
		"\t" + sleep + " \"$seconds\" >/dev/null 2>&1 &\n" +
		"\twait $! || :\n" +
		"\ttrap - TERM INT HUP\n" +
		"\t" + rm + " -f " + PauseName + "\n" +
		"fi\n"
}

// noteOOM writes OOMName. Only builtins of the shell work here: root runs it.
var noteOOM = "for file in " + strings.Join(OOMFiles, " ") + "; do\n" +
	"\t[ ! -r \"$file\" ] || while read -r key count; do [ \"$key\" != oom_kill ] || echo \"$count\" >" + OOMName + "; done <\"$file\"\n" +
	"done\n"

// Pause makes the next start of a slot wait; ok is false when it need not wait.
func Pause(seconds float64) (f beneath.File, ok bool) {
	if seconds <= 0 {
		return beneath.File{}, false
	}
	text := strconv.FormatFloat(seconds, 'f', -1, 64) + "\n"
	return beneath.File{Name: PauseName, Mode: 0o644, Content: []byte(text)}, true
}

// finishScript answers the death of a gateway. s6-supervise calls it with the exit
// code, 256 when a signal ended the gateway, and the signal. The script itself has the
// exit codes that end restarts; the helper answers the other endings, counts deaths and sets
// pauses. A helper that is missing or fails never keeps a gateway down.
func finishScript(restart *policy.Restart, helper string) []byte {
	if restart == nil {
		restart = &policy.Restart{}
	}
	codes := map[int]bool{0: true, 78: true} // that have an answer of their own
	for ending := range restart.ExitCodes {
		if code, err := strconv.Atoi(ending); err == nil {
			codes[code] = true
		}
	}
	var never []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		if restart.Answer(policy.Ending{ExitCode: code}) == policy.AnswerNever {
			never = append(never, strconv.Itoa(code))
		}
	}
	text := "#!/bin/sh\n# $1 is the exit code, 256 after a signal; " + strconv.Itoa(exitNever) + " means: leave it down.\n"
	if len(never) > 0 {
		text += "case \"$1\" in\n" + strings.Join(never, "|") + ") exit " + strconv.Itoa(exitNever) + " ;;\nesac\n"
	}
	if helper != "" {
		return []byte(text + helper + " \"$@\"\n")
	}
	return []byte(text + "exit 0\n")
}

// NeedsHelper reports whether a restart rule needs Settings.Died: for everything but exit
// codes that stay down or start again.
func NeedsHelper(r *policy.Restart) bool {
	if r == nil {
		return false
	}
	for ending, answer := range r.ExitCodes {
		if _, err := strconv.Atoi(ending); err != nil || answer == policy.AnswerBackoff {
			return true
		}
	}
	return r.Budget != nil
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
