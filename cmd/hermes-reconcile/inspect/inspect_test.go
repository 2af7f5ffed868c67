package inspect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/s6/s6test"
)

// The hook has to be there, to be ours, and to be a program that root may run.
func TestHookProblem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		s6test.Must(t, os.WriteFile(path, []byte(text), mode))
		s6test.Must(t, os.Chmod(path, mode))
		return path
	}
	program := write("hermes-reconcile", "#!/bin/sh\n", 0o755)
	ours, err := os.ReadFile("../hook/02-reconcile-profiles")
	s6test.Must(t, err)
	tests := map[string]struct{ hook, program, want string }{
		"ours":                 {write("ours", string(ours), 0o755), program, ""},
		"none":                 {filepath.Join(dir, "none"), program, "no gateway comes back after a restart"},
		"upstream's":           {write("upstream", "#!/bin/sh\nexec python3 -m hermes_cli.container_boot\n", 0o755), program, "is another program's, perhaps upstream's"},
		"not executable":       {write("plain", string(ours), 0o644), program, "is not executable"},
		"open to others":       {write("open", string(ours), 0o777), program, "can be written by others than its owner"},
		"without the program":  {write("alone", string(ours), 0o755), filepath.Join(dir, "none"), "no such file"},
		"a directory in place": {dir, program, "the hook cannot run as root"},
	}
	for name, test := range tests {
		reason, mend := hookProblem(test.hook, test.program)
		if (reason == "") != (test.want == "") || !strings.Contains(reason, test.want) || mend == "" && reason != "" {
			t.Errorf("%s: %q, want %q; mend %q", name, reason, test.want, mend)
		}
	}
}

// What is in memory or in the layer of the container is lost with it, whether it is there yet
// or not.
func TestNotKept(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"/dev/shm", "/dev/shm/not/there"} {
		if reason, mend := notKept("state_dir", dir); !strings.Contains(reason, "state_dir "+dir+" is in memory") || !strings.Contains(mend, "-v NAME:"+dir) {
			t.Errorf("%s: %q, %q", dir, reason, mend)
		}
	}
	if reason, _ := notKept("state_dir", "/proc/self"); reason != "" {
		t.Errorf("/proc: %s", reason)
	}
	if reason, _ := notKept("state_dir", ""); reason != "" {
		t.Errorf("nothing is kept by wish: %s", reason)
	}
}

// On a file system of other machines, and where the watch has no events, changes are seen late.
func TestNoEvents(t *testing.T) {
	var st unix.Statfs_t
	s6test.Must(t, unix.Statfs("/proc", &st))
	shared[int64(st.Type)] = "NFS"
	defer delete(shared, int64(st.Type))
	c := config.Config{Home: "/proc"}
	c.Watch.Resync = 90 * time.Second
	found := NoEvents(c, map[string]string{"volume": "no space left on device", "slots": "denied"})
	want := []string{
		"what others change in the home /proc, which is on NFS, gives no events; seen only every 1m30s, by watch.resync",
		"changes of kind slots give no events: denied; seen only every 1m30s, by watch.resync",
		"changes of kind volume give no events: no space left on device; seen only every 1m30s, by watch.resync",
	}
	for i, f := range found {
		if i >= len(want) || f.Reason != want[i] || f.Code != "no_events" || f.Mend == "" {
			t.Errorf("finding %d: %+v", i, f)
		}
	}
	if len(found) != len(want) {
		t.Errorf("%d findings, want %d", len(found), len(want))
	}
	c.Home = "/dev/shm"
	if found := NoEvents(c, nil); len(found) > 0 {
		t.Errorf("in memory: %+v", found)
	}
}

func TestWrongClock(t *testing.T) {
	t.Parallel()
	if reason, _ := wrongClock(time.Unix(86400, 0)); !strings.Contains(reason, "the clock says 1970-01-02T00:00:00Z") {
		t.Errorf("1970: %q", reason)
	}
	if reason, _ := wrongClock(time.Now()); reason != "" {
		t.Errorf("now: %q", reason)
	}
}

// A directory of plug-ins that the agents could change is a finding, and those of root are not.
func TestUntrustedFacts(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	c := config.Config{Distrusted: "10000:10000"}
	c.Facts.Dir = t.TempDir()
	if reason, _ := untrustedFacts(c); reason != "" {
		t.Errorf("root's: %s", reason)
	}
	s6test.Must(t, os.Chown(c.Facts.Dir, 10000, 10000))
	if reason, mend := untrustedFacts(c); !strings.Contains(reason, "is owned by uid 10000") || !strings.Contains(mend, "chown root:root "+c.Facts.Dir) {
		t.Errorf("%q, %q", reason, mend)
	}
	c.Facts.Dir = filepath.Join(t.TempDir(), "none")
	if reason, _ := untrustedFacts(c); reason != "" {
		t.Errorf("none: %s", reason)
	}
}

// Every finding that a pass can have is told with what mends it.
func TestDoctorPageHasAllCodes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/troubleshooting.md")
	s6test.Must(t, err)
	page := string(text)
	codes := map[string]bool{}
	for code := range Mends {
		codes[code] = true
	}
	for _, i := range inspections {
		codes[i.code] = true
	}
	for code := range codes {
		if !strings.Contains(page, "| `"+code+"`") {
			t.Errorf("docs/troubleshooting.md does not explain %s", code)
		}
	}
}
