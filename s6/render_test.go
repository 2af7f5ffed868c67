package s6

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hermes-reconcile/policy"
)

func TestRenderedScripts(t *testing.T) {
	t.Parallel()
	r := overlayRenderer(t)
	files, err := r.files("coder", map[string]string{"PORT": "9570", "NAME": "it's $HOME"}, nil)
	must(t, err)
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
exec "$@" /usr/bin/env "PATH=$path" /command/with-contenv /usr/bin/env HOME=/opt/data HERMES_S6_SUPERVISED_CHILD=1 HERMES_SUPERVISED_CHILD=1 HERMES_S6_SLOT=/run/service/gateway-coder "NAME=it's \$HOME" 'PORT=9570' /bin/sh -c 'cd "$1" && shift && exec "$@"' gateway /opt/data hermes -p coder gateway run --replace
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
uid=$(/usr/bin/id -u)
if [ "$uid" = 0 ]; then set -- /command/s6-setuidgid hermes; else set --; fi
exec "$@" /bin/sh -c 'mkdir -p "$1" && rm -f "$1/lock" && exec /command/s6-log 1 n10 s1000000 T "$1"' logger /opt/data/logs/gateways/coder
`,
		"type":     "longrun\n",
		markerName: `{"profile":"coder","version":1}` + "\n",
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

// overlayRenderer makes slots for an image with s6-overlay.
func overlayRenderer(t testing.TB) *renderer {
	t.Helper()
	e := &Executor{ScanDir: "/run/service", 
		Home: "/opt/data", User: User{Name: "hermes"}, Command: []string{"hermes"}, Args: []string{"gateway", "run", "--replace"},
		Shell: "/bin/sh", Contenv: "/command/with-contenv", Died: []string{"/usr/local/bin/hermes-reconcile", "died", "--"},
	}
	r, err := e.rendererWith(programs{
		env: "/usr/bin/env", id: "/usr/bin/id", rm: "/usr/bin/rm", sleep: "/usr/bin/sleep",
		log: "/command/s6-log", setuidgid: "/command/s6-setuidgid",
	})
	must(t, err)
	return r
}

// The finish script answers each exit code; 256 is a signal.
func TestFinishScript(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		restart *policy.Restart
		want    map[string]int
	}{
		{"default", nil, map[string]int{"0": 125, "78": 125, "1": 0, "143": 0, "256": 0}},
		{"rule", &policy.Restart{ExitCodes: map[string]string{"0": "now", "7": "never", "9": "backoff"}},
			map[string]int{"0": 0, "78": 125, "7": 125, "9": 0, "256": 0}},
		{"nothing stops it", &policy.Restart{ExitCodes: map[string]string{"0": "now", "78": "now"}},
			map[string]int{"0": 0, "78": 0, "256": 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			d := decide("coder=down")
			one := d.Profiles["coder"]
			one.Restart = test.restart
			d.Profiles["coder"] = one
			w.apply(d)
			for code, want := range test.want {
				err := exec.Command(w.slot("coder", "finish"), code, "0", "gateway-coder").Run()
				var exit *exec.ExitError
				got := 0
				if errors.As(err, &exit) {
					got = exit.ExitCode()
				} else if err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("finish %s: exit %d, want %d", code, got, want)
				}
			}
		})
	}
}

// The marker has the restart rule for the helper of the finish script.
func TestMarkerKeepsTheRestartRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := decide("coder=down")
	one := d.Profiles["coder"]
	one.Restart = &policy.Restart{Budget: &policy.Budget{Deaths: 5, WindowSeconds: 600}, OnExhaustion: "hold"}
	d.Profiles["coder"] = one
	w.apply(d)
	wantFile(t, w.slot("coder", markerName),
		`{"profile":"coder","version":1,"restart":{"budget":{"deaths":5,"window_seconds":600},"on_exhaustion":"hold"}}`+"\n")
	w.wantPlan(d, "")
}

// A home works although its name needs quoting. A name that no script can hold is an
// error of the set-up.
func TestHomeWithOddName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	odd := filepath.Join(w.base, "it's $(a) home")
	must(t, os.Rename(w.home, odd))
	w.home, w.exec.Home = odd, odd
	w.startSvscan()
	w.apply(decide("coder=start"))
	w.untilUp("coder")
	w.until("the log exists", func() bool {
		_, err := os.Stat(filepath.Join(odd, "logs/gateways/coder/current"))
		return err == nil
	})
	w.exec.Home = "/a\nb"
	if _, err := w.exec.Plan(t.Context(), decide("coder=start"), w.options); err == nil {
		t.Error("plan: no error")
	}
}
