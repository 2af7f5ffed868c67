package volume

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// TestMain can turn the test program into a writer of log lines, so that several processes
// write at once.
func TestMain(m *testing.M) {
	if home := os.Getenv("VOLUME_TEST_WRITER"); home != "" {
		writeLines(home, os.Getenv("VOLUME_TEST_ID"))
		return
	}
	os.Exit(m.Run())
}

const linesEach = 200

func writeLines(home, id string) {
	h, err := Open(home)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := range linesEach {
		if err := h.AppendLog("boot.log", fmt.Appendf(nil, "writer=%s line=%d\n", id, i), 6000); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func TestAppendLog(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		text  string
		want  map[string]string // in logs/
	}{
		{"makes directory and file", nil, "one\n", map[string]string{"boot.log": "one\n"}},
		{"appends", map[string]string{"logs/boot.log": "one\n"}, "two\n", map[string]string{"boot.log": "one\ntwo\n"}},
		{"ends a torn line", map[string]string{"logs/boot.log": "one\ntor"}, "two\n", map[string]string{"boot.log": "one\ntor\ntwo\n"}},
		{"rotates", map[string]string{"logs/boot.log": strings.Repeat("x", 20), "logs/boot.log.1": "older"}, "two\n",
			map[string]string{"boot.log": "two\n", "boot.log.1": strings.Repeat("x", 20)}},
		{"one big text stays whole", nil, strings.Repeat("y", 50) + "\n", map[string]string{"boot.log": strings.Repeat("y", 50) + "\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t, c.files)
			if err := h.AppendLog("boot.log", []byte(c.text), 20); err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				got, err := os.ReadFile(filepath.Join(h.Path(), "logs", name))
				if err != nil || string(got) != want {
					t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
				}
			}
		})
	}
}

func TestAppendLogIsNotLedAway(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	for name, files := range map[string]map[string]string{
		"link":              {"logs/boot.log": "-> " + victim},
		"fifo":              {"logs/boot.log": "fifo"},
		"device":            {"logs/boot.log": "-> /dev/full"},
		"directory":         {"logs/boot.log/": ""},
		"linked logs":       {"logs": "-> " + filepath.Dir(victim)},
		"logs is a file":    {"logs": "x"},
		"another hard link": {"logs/boot.log": "hard\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
				t.Fatal(err)
			}
			h := newHome(t, files)
			if name == "another hard link" {
				if err := os.Link(filepath.Join(h.Path(), "logs/boot.log"), filepath.Join(h.Path(), "config.yaml")); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.AppendLog("boot.log", []byte("line\n"), 1<<20); !errors.Is(err, policy.ErrNotRegular) {
				t.Errorf("AppendLog = %v, want %v", err, policy.ErrNotRegular)
			}
			if got, _ := os.ReadFile(victim); string(got) != "precious" {
				t.Errorf("the victim now holds %q", got)
			}
		})
	}
	h := newHome(t, nil)
	for _, name := range []string{"../victim", "a/b", "", ".", ".."} {
		if err := h.AppendLog(name, []byte("x"), 10); err == nil {
			t.Errorf("AppendLog(%q) accepted", name)
		}
	}
}

func TestAppendLogWithoutTheLock(t *testing.T) {
	h := newHome(t, map[string]string{"logs/.boot.log.lock": "", "logs/boot.log": "older\n"})
	f, err := os.Open(filepath.Join(h.Path(), "logs/.boot.log.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := h.AppendLog("boot.log", []byte("line\n"), 5); err == nil || !strings.Contains(err.Error(), "rotate") {
		t.Errorf("AppendLog = %v, want one that the log was not rotated", err)
	}
	if got, _ := os.ReadFile(filepath.Join(h.Path(), "logs/boot.log")); string(got) != "older\nline\n" {
		t.Errorf("the log holds %q: a line is lost while another process holds the lock", got)
	}
}

func TestProcessesThatAppendAtOnceLoseNoLine(t *testing.T) {
	h := newHome(t, nil)
	var writers []*exec.Cmd
	for i := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "VOLUME_TEST_WRITER="+h.Path(), fmt.Sprintf("VOLUME_TEST_ID=%d", i))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		writers = append(writers, cmd)
	}
	for _, cmd := range writers {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	// The log rotates several times. In the two remaining generations every line is whole,
	// and the lines of each writer are in order without a gap.
	next := map[string]int{}
	for _, name := range []string{"boot.log.1", "boot.log"} {
		data, err := os.ReadFile(filepath.Join(h.Path(), "logs", name))
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 6000 {
			t.Errorf("%s has %d bytes, want at most 6000", name, len(data))
		}
		for line := range bytes.Lines(data) {
			var id string
			var n int
			if _, err := fmt.Sscanf(strings.ReplaceAll(string(line), "=", " "), "writer %s line %d\n", &id, &n); err != nil {
				t.Fatalf("%s has the line %q", name, line)
			}
			if want, seen := next[id]; seen && n != want {
				t.Errorf("writer %s: line %d follows %d", id, n, want-1)
			}
			next[id] = n + 1
		}
	}
	for id, n := range next {
		if n != linesEach {
			t.Errorf("writer %s ends with line %d, want %d", id, n-1, linesEach-1)
		}
	}
}
