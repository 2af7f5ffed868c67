package s6

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/scripts"
)

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
				// By the shell: the file may be open in a child of another test, and then cannot be executed.
				err := exec.Command("/bin/sh", w.slot("coder", "finish"), code, "0", "gateway-coder").Run()
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
	wantFile(t, w.slot("coder", scripts.MarkerName),
		`{"profile":"coder","version":1,"restart":{"budget":{"deaths":5,"window_seconds":600},"on_exhaustion":"hold"}}`+"\n")
	w.wantPlan(d, "")
}

// Like upstream's, a gateway with a home elsewhere has HOME and its working directory in the
// directory of its user, and finds its home in HERMES_HOME. A rule may set HOME.
func TestHomeElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := filepath.Join(w.base, "user's")
	must(t, os.Mkdir(users, 0o755))
	w.exec.Command = []string{w.script("living", "echo \"$HOME $PWD $HERMES_HOME\" >"+w.home+"/$2.env\nexec sleep 10000\n")}
	must(t, os.Chmod(w.home, 0o777))
	w.exec.UserDir = users
	w.startSvscan()
	d := decide("coder=start", "ruled=start")
	ruled := d.Profiles["ruled"]
	ruled.Env = map[string]string{"HOME": "/nowhere"}
	d.Profiles["ruled"] = ruled
	w.apply(d)
	w.wantWritten(filepath.Join(w.home, "coder.env"), users+" "+users+" "+w.home+"\n")
	w.wantWritten(filepath.Join(w.home, "ruled.env"), "/nowhere "+users+" "+w.home+"\n")

	w.exec.UserDir = filepath.Join(w.base, "missing")
	w.apply(decide("writer=start"))
	w.wantWritten(filepath.Join(w.home, "writer.env"), w.home+" "+w.home+" "+w.home+"\n")
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
