package gatewaylog

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

const logs = "logs/gateways/coder"

// place is a home with a log, of these files.
type place struct {
	t    *testing.T
	path string
	home *volume.Home
}

func newPlace(t *testing.T, files map[string]string) *place {
	t.Helper()
	below := map[string]string{}
	for name, text := range files {
		below[logs+"/"+name] = text
	}
	path := hometest.New(t, below)
	home, err := volume.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { home.Close() })
	return &place{t, path, home}
}

func (p *place) file(name string) string { return filepath.Join(p.path, logs, name) }

func (p *place) read(q Query) (Lines, error) {
	q.Most = cmp.Or(q.Most, MaxLines)
	return Read(p.home.Root(), logs, q)
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) add(name, text string) {
	p.t.Helper()
	f, err := os.OpenFile(p.file(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	p.must(err)
	_, err = f.WriteString(text)
	p.must(err)
	p.must(f.Close())
}

func (p *place) rename(from, to string) {
	p.t.Helper()
	p.must(os.Rename(p.file(from), p.file(to)))
}

// stamped is a line of s6-log at a second of a day.
func stamped(second int, text string) string {
	return fmt.Sprintf("2026-11-22 06:00:%02d.123456789  %s\n", second, text)
}

func texts(l Lines) string {
	var all []string
	for _, line := range l.Lines {
		all = append(all, line.Text)
	}
	return strings.Join(all, " ")
}

func TestReadInOrder(t *testing.T) {
	t.Parallel()
	p := newPlace(t, map[string]string{
		"@4000000068000001aaaaaaaa.s": stamped(1, "a") + stamped(2, "b"), "@4000000068000002aaaaaaaa.u": stamped(3, "c") + "no stamp\n",
		"current": stamped(5, "e") + stamped(6, "") + stamped(7, "g") + "2026-11-22 06:00:08.123456789  unfini",
		"lock":    "x\n", "state": "x\n",
	})
	since := time.Date(2026, 11, 22, 6, 0, 3, 0, zone())
	for _, test := range []struct {
		query Query
		want  string
	}{
		{Query{}, "a b c no stamp e  g"}, {Query{Most: 2}, " g"}, {Query{Most: 4}, "no stamp e  g"},
		{Query{Since: since}, "c no stamp e  g"}, {Query{Since: since.Add(time.Hour)}, ""},
	} {
		got, err := p.read(test.query)
		if texts(got) != test.want || err != nil {
			t.Errorf("%+v: got %+v, %v; want %q", test.query, got, err, test.want)
		}
	}
	all, err := p.read(Query{Profile: "coder"})
	p.must(err)
	want := []time.Time{since.Add(123456789), since.Add(123456789), since.Add(4*time.Second + 123456789)}
	for i, line := range []Line{all.Lines[2], all.Lines[3], all.Lines[6]} {
		if line.Time == nil || !line.Time.Equal(want[i]) || line.Profile != "coder" {
			t.Errorf("got %+v, want the time %v", line, want[i])
		}
	}
	if _, err := newPlace(t, nil).read(Query{}); err == nil || !strings.Contains(err.Error(), logs+"/current: no such file or directory: no supervisor has served the slot") {
		t.Errorf("no log: %v", err)
	}
	if got, err := newPlace(t, map[string]string{"current": ""}).read(Query{}); err != nil || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "the gateway never started") {
		t.Errorf("an empty log: %+v, %v", got, err)
	}
	unstamped := newPlace(t, map[string]string{"current": "x\n"})
	if got, err := unstamped.read(Query{}); err != nil || texts(got) != "x" || got.Lines[0].Time != nil {
		t.Errorf("no stamp: %+v, %v", got, err)
	}
	if got, err := unstamped.read(Query{Since: since}); err != nil || len(got.Lines) > 0 {
		t.Errorf("no stamp: %+v, %v", got, err)
	}
}

// Whatever happens to the files meanwhile, each line is read once.
func TestReadOnFromAPlace(t *testing.T) {
	t.Parallel()
	p := newPlace(t, map[string]string{"current": "a\nb\n"})
	var at ledger.Place
	steps := []struct {
		what string
		do   func()
		want string
	}{
		{"the beginning", func() {}, "a b"},
		{"nothing new", func() {}, ""},
		{"half a line", func() { p.add("current", "c") }, ""},
		{"its other half", func() { p.add("current", "c\n") }, "cc"},
		{"a rotation", func() { p.add("current", "d\n"); p.rename("current", "@1.s"); p.add("current", "e\n") }, "d e"},
		{"in the middle of a rotation", func() {
			p.add("current", "f\n")
			p.rename("current", "previous")
			p.add("current", "g\n")
		}, "f g"},
		{"its end", func() { p.rename("previous", "@2.s"); p.add("current", "h\n") }, "h"},
		{"two rotations", func() {
			p.rename("current", "@3.s")
			p.add("current", "i\n")
			p.rename("current", "@4.u")
			p.add("current", "j\n")
		}, "i j"},
		{"old files go", func() { p.must(os.Remove(p.file("@1.s"))); p.add("current", "k\n") }, "k"},
		{"another file", func() { p.rename("current", "gone"); p.add("other", "l\n"); p.rename("other", "current") }, "l"},
		{"it is made shorter", func() { p.must(os.Truncate(p.file("current"), 0)); p.add("current", "\n") }, ""},
	}
	for _, step := range steps {
		step.do()
		got, err := p.read(Query{After: at})
		if texts(got) != step.want || err != nil {
			t.Errorf("%s: got %+v, %v; want %q", step.what, got, err, step.want)
		}
		at = got.Place
	}
}

// A rotating directory changes after current was opened first.
type rotating struct {
	policy.Directory
	rotate func()
}

func (r *rotating) Open(name string) (policy.File, error) {
	file, err := r.Directory.Open(name)
	if rotate := r.rotate; rotate != nil && name == logs+"/current" {
		r.rotate = nil
		rotate()
	}
	return file, err
}

func TestReadDuringARotation(t *testing.T) {
	t.Parallel()
	for before, rotate := range map[string]func(*place){
		"current":  func(p *place) { p.rename("current", "@1.s"); p.add("current", "b\n") },
		"previous": func(p *place) { p.add("current", "b\n") },
	} {
		p := newPlace(t, map[string]string{before: "a\n"})
		got, err := Read(&rotating{p.home.Root(), func() { rotate(p) }}, logs, Query{Most: 5})
		if texts(got) != "a b" || err != nil {
			t.Errorf("%s: got %+v, %v", before, got, err)
		}
	}
}

// What the agent puts in place of a file is not followed and does not block.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for what, plant := range map[string]func(path string) error{
		"link": func(path string) error { return os.Symlink(secret, path) },
		"fifo": func(path string) error { return unix.Mkfifo(path, 0o666) },
		"dir":  func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		p := newPlace(t, map[string]string{"@1.s": stamped(1, "a")})
		p.must(plant(p.file("current")))
		if got, err := p.read(Query{}); !errors.Is(err, policy.ErrNotRegular) || !strings.Contains(err.Error(), logs+"/current") || len(got.Lines) > 0 {
			t.Errorf("%s: got %+v, %v", what, got, err)
		}
		p = newPlace(t, map[string]string{"@1.s": stamped(1, "a"), "current": stamped(2, "b")})
		p.must(plant(p.file("@0.s")))
		if got, err := p.read(Query{}); texts(got) != "a b" || err != nil || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "@0.s") {
			t.Errorf("%s: got %+v, %v", what, got, err)
		}
	}
	p := newPlace(t, nil)
	p.must(os.MkdirAll(filepath.Dir(p.file(".")), 0o755))
	p.must(os.Symlink(filepath.Dir(secret), p.file(".")))
	if got, err := p.read(Query{}); len(got.Lines) > 0 || !errors.Is(err, policy.ErrNotRegular) {
		t.Errorf("the directory is a link: %+v, %v", got, err)
	}
}

// Nothing is too large.
func TestBounds(t *testing.T) {
	t.Parallel()
	p := newPlace(t, map[string]string{"current": stamped(1, strings.Repeat("x", 3<<20)) + stamped(2, strings.Repeat("w", 300<<10)) + stamped(3, strings.Repeat("y", 70_000)) + stamped(4, "z")})
	got, err := p.read(Query{})
	if err != nil || len(got.Lines) != 2 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "left out") {
		t.Fatalf("%d lines, notes %q, %v", len(got.Lines), got.Notes, err)
	}
	if long := got.Lines[0].Text; len(long) > 64<<10 || !strings.HasPrefix(long, "yyy") || !strings.HasSuffix(long, "y… (4501 bytes more)") {
		t.Errorf("the long line has %d bytes and ends with %q", len(long), long[len(long)-40:])
	}
	many := newPlace(t, map[string]string{"current": strings.Repeat("x\n", 1<<19)})
	if got, err := many.read(Query{}); len(got.Lines) != MaxLines || err != nil {
		t.Errorf("%d lines, want %d; %v", len(got.Lines), MaxLines, err)
	}
	for i := range 40 {
		many.add(fmt.Sprintf("@%02d.s", i), fmt.Sprintf("%d\n", i))
	}
	many.must(os.WriteFile(many.file("current"), []byte("x\n"), 0o644))
	if got, err := many.read(Query{}); len(got.Lines) != maxFiles+1 || got.Lines[0].Text != "24" || err != nil {
		t.Errorf("got %+v, %v; want the lines of the newest files", got, err)
	}
}
