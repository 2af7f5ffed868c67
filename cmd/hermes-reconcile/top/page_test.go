package top

import (
	"fmt"
	"strings"
	"testing"
)

func shown(p *page, height int) string { return strings.Join(p.window(height), "|") }

// A page that follows stays at its end until somebody moves up, and again from when they are
// back.
func TestPageFollows(t *testing.T) {
	t.Parallel()
	p := &page{width: 80, follows: true}
	p.add("a\nb\nc\nhal")
	steps := []struct {
		add  string
		move int
		want string
	}{
		{"", 0, "b|c"}, {"f\n", 0, "c|half"}, {"", -2, "a|b"}, {"d\n", 0, "a|b"}, {"", 1, "b|c"}, {"", 9, "half|d"}, {"e\n", 0, "d|e"},
	}
	for _, step := range steps {
		p.add(step.add)
		p.move(step.move, 2)
		if got := shown(p, 2); got != step.want {
			t.Errorf("after %+v: %q", step, got)
		}
	}
	top := &page{width: 80}
	top.add("a\nb\nc\n")
	if got := shown(top, 2); got != "a|b" {
		t.Errorf("a page that does not follow shows %q", got)
	}
	top.old = true
	if got := shown(top, 2); got != "a|b" {
		t.Errorf("until there is something new, %q", got)
	}
	top.add("new\n")
	if got := shown(top, 2); got != "new" {
		t.Errorf("then %q", got)
	}
}

// Long lines are folded between words, for each width anew, and nothing is lost.
func TestPageFolds(t *testing.T) {
	t.Parallel()
	p := &page{width: 20}
	p.add("  because   a reason of many words\n日本語日本語日本語日本語\n\ttab\n" + strings.Repeat("x", 45) + "\n")
	const want = "  because   a reason|    of many words|日本語日本語日本語日|    本語|    tab|xxxxxxxxxxxxxxxxxxxx|    xxxxxxxxxxxxxxxx|    xxxxxxxxx"
	if got := shown(p, 20); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.resize(40)
	if got := shown(p, 20); !strings.HasPrefix(got, "  because   a reason of many words|日本語日本語日本語日本語|") {
		t.Errorf("wider: %s", got)
	}
	p.resize(20)
	if got := shown(p, 20); got != want {
		t.Errorf("as before: %s", got)
	}
}

// However much a gateway prints, a page keeps its newest lines only, and no line whole that is
// too long.
func TestPageIsBounded(t *testing.T) {
	t.Parallel()
	p := &page{width: 80, follows: true}
	for i := range 3 * maxLines {
		p.add(fmt.Sprintf("line %d\n", i))
	}
	for range 100 {
		p.add(strings.Repeat("no end ", 10_000))
	}
	p.add("\n" + strings.Repeat("long ", 100_000) + "\nlast\n")
	if len(p.raw) > maxLines || len(p.lines) > maxLines || cap(p.lines) > 4*maxLines {
		t.Errorf("it keeps %d lines, folded %d of %d", len(p.raw), len(p.lines), cap(p.lines))
	}
	if long := len(strings.Join(p.raw, "")); long > 100_000 || !strings.Contains(strings.Join(p.lines, ""), "bytes more)") {
		t.Errorf("it keeps %d bytes", long)
	}
	if got := shown(p, 1); got != "last" {
		t.Errorf("at its end is %q", got)
	}
}
