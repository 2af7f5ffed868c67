package hometest

import "strings"

// Hostile returns texts that an agent could write to steer a terminal, to break the line or
// the document that quotes them, or to make a program fail. Each test of an output uses
// them.
func Hostile() []string {
	var controls, unseen strings.Builder
	for r := rune(1); r < 0xa0; r++ {
		if r < ' ' || r >= 0x7f {
			controls.WriteRune(r)
		}
	}
	for _, r := range []rune{
		0x00ad, 0x034f, 0x061c, 0x115f, 0x180e, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e,
		0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0x3164, 0xe000, 0xfdd0, 0xfe0f, 0xfeff, 0xfff9, 0xffff, 0x1d173, 0xe0001, 0xe0041, 0xe0100, 0xf0000, 0x10ffff,
	} {
		unseen.WriteRune('x')
		unseen.WriteRune(r)
	}
	return []string{
		controls.String(),
		unseen.String(),
		"\x1b[2J\x1b]0;owned\a\x1b]52;c;cm0gLXJm\x1b\\\x1bP$q\x1b\\\x9b2J",
		"\x9b31m\x90q\x9c \xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80 \xe2\x80",
		"one\r\n2026-11-22T06:00:11+0000 profile=x action=started\ntwo\vthree\ffour\x00five",
		"hermes-reconcile: all is well\nALARM   none",
		`$(touch pwned) ` + "`touch pwned`" + ` ; reboot & | > pwned ' " \ \u001b %n %s`,
		`=1+1,"a",b;c` + "\t" + `d`,
		`x"} 1` + "\n" + `hermes_reconcile_forged{a="b"} 1 # TYPE`,
		"a: [b, {c: d}]\n- e\n? f\n--- !!g &h *i | > % @ ` #",
		`{"a":"b"},]}[` + "\n" + `null`,
		"\u202etxt.exe \u2066isolated \u0643\u0644\u0628",
		"e" + strings.Repeat("\u0301", 200),
		"=x", "- x", "~", "yes", "0x1f", "1e9", "<<", " ", "\t", "\n", ".", "..", "-rf", "--help",
		strings.Repeat("long ", 600),
		strings.Repeat("\x1b", 300),
	}
}
