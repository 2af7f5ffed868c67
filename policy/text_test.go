package policy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/policy"
)

// FuzzClean: no text of an agent steers a terminal, and JSON that is cleaned says the same.
func FuzzClean(f *testing.F) {
	for _, text := range hometest.Hostile() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for what, clean := range map[string]func(string) string{"Clean": policy.Clean, "Line": policy.Line} {
			got := clean(text)
			plain := got
			if what == "Clean" {
				plain = strings.NewReplacer("\n", "", "\t", "").Replace(got)
			}
			if !utf8.ValidString(got) || strings.ContainsFunc(plain, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s(%q) = %q", what, text, got)
			}
			if clean(got) != got {
				t.Errorf("%s(%q) = %q, and once more %q", what, text, got, clean(got))
			}
		}
		var document strings.Builder
		encoder := json.NewEncoder(&document)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "\t")
		if err := encoder.Encode(map[string]string{text: text}); err != nil {
			t.Fatal(err)
		}
		text = strings.ToValidUTF8(text, string(utf8.RuneError)) // as the encoder does
		var got map[string]string
		if err := json.Unmarshal([]byte(policy.Clean(document.String())), &got); err != nil {
			t.Fatal(err)
		}
		for key, value := range got {
			if without := strings.NewReplacer(string(utf8.RuneError), ""); value != key || without.Replace(value) != without.Replace(text) {
				t.Errorf("%q became %q", text, got)
			}
		}
		if short := policy.Cut(text); len(short) > policy.MaxText || len(text) <= policy.MaxText && short != text {
			t.Errorf("Cut gives %d bytes of %d", len(short), len(text))
		}
	})
}

func TestCutSaysHowMuchIsMissing(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	got := policy.Cut(long)
	if !utf8.ValidString(got) || len(got) < policy.MaxText-100 || !strings.HasSuffix(got, " bytes more)") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-40:])
	}
}

// Names of different directories stay different, whatever cannot be seen in them.
func TestProfileNamesCanBeTold(t *testing.T) {
	seen := map[string]string{}
	for _, entry := range append(hometest.Hostile(), "coder", "coder\u3164", `coder\u3164`, "coder\ufe0f", `"coder\ufe0f"`) {
		name := policy.Line(policy.ProfileName(entry))
		if before, ok := seen[name]; ok {
			t.Errorf("%q and %q are both %s", before, entry, name)
		}
		seen[name] = entry
	}
}
