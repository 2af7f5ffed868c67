package scripts

import (
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

func TestRenderedScripts(t *testing.T) {
	t.Parallel()
	r := overlayRenderer(t)
	files, err := r.Files("coder", map[string]string{"PORT": "9570", "NAME": "it's $HOME"}, nil)
	s6test.Must(t, err)
	want := map[string]string{
		"run": `#!/bin/sh
# Made by hermes-reconcile, which makes it anew when it changes.
set -e
umask 022
path=$PATH
export PATH=/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
[ ! -e data/changed ] || /usr/bin/rm -f data/changed
if [ -s data/pause ]; then
	trap 'kill -KILL $! 2>/dev/null || :; /usr/bin/rm -f data/pause; exit 143' TERM INT HUP
	read -r seconds <data/pause
	/usr/bin/sleep "$seconds" >/dev/null 2>&1 &
	wait $! || :
	trap - TERM INT HUP
	/usr/bin/rm -f data/pause
fi
uid=$(/usr/bin/id -u)
if [ "$uid" = 0 ]; then set -- /command/s6-setuidgid hermes; else set --; fi
exec "$@" /usr/bin/env "PATH=$path" /command/with-contenv /usr/bin/env HOME=/opt/data HERMES_HOME=/opt/data HERMES_S6_SUPERVISED_CHILD=1 HERMES_SUPERVISED_CHILD=1 HERMES_S6_SLOT=/run/service/gateway-coder "NAME=it's \$HOME" 'PORT=9570' /bin/sh -c 'if [ -d "$2" ]; then [ "$HOME" != "$1" ] || HOME=$2; cd "$2"; else cd "$1"; fi && shift 2 && exec "$@"' gateway /opt/data /opt/data hermes -p coder gateway run --replace 2>&1
`,
		"finish": `#!/bin/sh
# $1 is the exit code, 256 after a signal; 125 means: leave it down.
case "$1" in
0|78) exit 125 ;;
esac
exit 0
`,
		"log/run": `#!/bin/sh
# Made by hermes-reconcile, which makes it anew when it changes.
set -e
umask 022
export PATH=/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset TZ
uid=$(/usr/bin/id -u)
if [ "$uid" = 0 ]; then set -- /command/s6-setuidgid hermes; else set --; fi
exec "$@" /bin/sh -c 'mkdir -p "$1" && rm -f "$1/lock" && exec /command/s6-log 1 n10 s1000000 T "$1"' logger /opt/data/logs/gateways/coder
`,
		"type":     "longrun\n",
		MarkerName: `{"profile":"coder","version":1}` + "\n",
	}
	for _, f := range files {
		if got := string(f.Content); got != want[f.Name] {
			t.Errorf("%s: got\n%s\nwant\n%s", f.Name, got, want[f.Name])
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("not made: %v", want)
	}
	if last := files[len(files)-1].Name; last != "run" {
		t.Errorf("the last file is %s, want run", last)
	}
}

// The service runs as root with the container's environment, and its logger as the user.
func TestRenderedService(t *testing.T) {
	t.Parallel()
	for contenv, want := range map[string]string{
		"/command/with-contenv": "exec /command/with-contenv /usr/local/bin/hermes-reconcile watch '--home=/opt/my data'\n",
		"":                      "exec /usr/bin/env \"PATH=$path\" /usr/local/bin/hermes-reconcile watch '--home=/opt/my data'\n",
	} {
		settings := Settings{Home: "/opt/my data", Contenv: contenv, Watch: []string{"/usr/local/bin/hermes-reconcile", "watch", "--home=/opt/my data"}}
		r, err := settings.with(overlayPrograms, "/run/service", "hermes")
		s6test.Must(t, err)
		files, err := r.WatchFiles()
		s6test.Must(t, err)
		got := map[string]string{}
		for _, f := range files {
			got[f.Name] = string(f.Content)
		}
		if run := got["run"]; !strings.HasSuffix(run, "\nfi\n"+want) || !strings.Contains(run, "\nexport PATH="+rootPath+"\n") || strings.Contains(run, "setuidgid") {
			t.Errorf("run: %s", run)
		}
		if want := "#!/bin/sh\n# s6 starts the service again, whatever ended it.\n/usr/bin/sleep 1\nexit 0\n"; got["finish"] != want {
			t.Errorf("finish: %s", got["finish"])
		}
		if log := got["log/run"]; !strings.Contains(log, "/command/s6-setuidgid hermes") || !strings.HasSuffix(log, " logger '/opt/my data/logs/hermes-reconcile'\n") {
			t.Errorf("log/run: %s", log)
		}
		if got[MarkerName] != `{"profile":"","version":1}`+"\n" || len(got) != len(FileNames) {
			t.Errorf("got %v", got)
		}
	}
}

// A rule that answers to oom makes the run script note the count before the gateway starts.
func TestRunNotesTheMemory(t *testing.T) {
	t.Parallel()
	files, err := overlayRenderer(t).Files("coder", nil, &policy.Restart{ExitCodes: map[string]string{"oom": "never"}})
	s6test.Must(t, err)
	want := `	/usr/bin/rm -f data/pause
fi
for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
	[ ! -r "$file" ] || while read -r key count; do [ "$key" != oom_kill ] || echo "$count" >data/oom_kills; done <"$file"
done
uid=$(/usr/bin/id -u)
`
	if run := string(files[len(files)-1].Content); !strings.Contains(run, want) {
		t.Errorf("run: %s", run)
	}
}

// overlayRenderer makes slots for an image with s6-overlay.
func overlayRenderer(t testing.TB) *Renderer {
	t.Helper()
	settings := Settings{
		Home: "/opt/data", Command: []string{"hermes"}, Args: []string{"gateway", "run", "--replace"},
		Contenv: "/command/with-contenv", Died: []string{"/usr/local/bin/hermes-reconcile", "died", "--"},
	}
	r, err := settings.with(overlayPrograms, "/run/service", "hermes")
	s6test.Must(t, err)
	return r
}

var overlayPrograms = programs{
	env: "/usr/bin/env", id: "/usr/bin/id", rm: "/usr/bin/rm", sleep: "/usr/bin/sleep",
	log: "/command/s6-log", setuidgid: "/command/s6-setuidgid",
}

// FuzzScripts renders any name and value. A shell reads exactly these words, or the slot
// is refused.
func FuzzScripts(f *testing.F) {
	for _, word := range s6test.HostileWords {
		f.Add(word, word)
	}
	f.Add("a\x00b", "a\nb")
	f.Add("\xff", "\x1b[m")
	r := overlayRenderer(f)
	words := func(t *testing.T, profile, value string) (run, log []string) {
		files, err := r.Files(profile, map[string]string{"VALUE": value}, nil)
		if err != nil {
			return nil, nil // refused
		}
		return wordsOf(t, string(files[len(files)-1].Content)), wordsOf(t, string(files[0].Content))
	}
	f.Fuzz(func(t *testing.T, profile, value string) {
		run, log := words(t, profile, value)
		if run == nil || profile == policy.RootProfile {
			return
		}
		wantRun, wantLog := words(t, "PROFILE", "x")
		for i := range wantRun {
			wantRun[i] = strings.ReplaceAll(strings.ReplaceAll(wantRun[i], "VALUE=x", "VALUE="+value), "PROFILE", profile)
		}
		for i := range wantLog {
			wantLog[i] = strings.ReplaceAll(wantLog[i], "PROFILE", profile)
		}
		if !slices.Equal(run, wantRun) && !strings.Contains(value, "PROFILE") || !slices.Equal(log, wantLog) {
			t.Errorf("profile %q, value %q: the scripts are\n%q\n%q\nwant\n%q\n%q", profile, value, run, log, wantRun, wantLog)
		}
	})
}

// wordsOf returns the words of a script as its commands get them. Words with an
// expansion are placeholders.
func wordsOf(t *testing.T, script string) []string {
	t.Helper()
	parsed, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), "")
	if err != nil {
		t.Fatalf("not a script: %v\n%s", err, script)
	}
	env := expand.FuncEnviron(func(name string) string { return "expanded " + name })
	var words []string
	syntax.Walk(parsed, func(node syntax.Node) bool {
		word, ok := node.(*syntax.Word)
		if !ok {
			return true
		}
		text, err := expand.Literal(&expand.Config{Env: env}, word)
		if err != nil {
			text = "a command substitution"
		}
		words = append(words, text)
		return true
	})
	return words
}
