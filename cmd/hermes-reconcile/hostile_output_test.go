package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/policy"
)

// rawJSON is a JSON string that holds all of a text but C0 as it is, also bytes that are not
// UTF-8.
func rawJSON(text string) string {
	var raw strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ':
			fmt.Fprintf(&raw, `\u%04x`, c)
		case c == '"' || c == '\\':
			raw.WriteByte('\\')
			raw.WriteByte(c)
		default:
			raw.WriteByte(c)
		}
	}
	return `"` + raw.String() + `"`
}

// A hostilePlace is a container in which the agent has written hostile text everywhere.
type hostilePlace struct{ home, scan, plugins string }

func newHostilePlace(t *testing.T) hostilePlace {
	t.Helper()
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
	t.Setenv("HERMES_RECONCILE_STATE_DIR", t.TempDir())
	h := hostilePlace{home: t.TempDir(), scan: t.TempDir(), plugins: t.TempDir()}
	var ledger strings.Builder
	entry := func(text string) string { // that a directory may have
		text = strings.NewReplacer("/", "", "\x00", "").Replace(text)
		return text[:min(len(text), 200)]
	}
	for i, text := range hometest.Hostile() {
		word := rawJSON(text)
		line := fmt.Sprintf(`{"time":"2026-11-22T06:%02d:00Z"`, i)
		fmt.Fprintf(&ledger, `%s,"phase":"boot","action":%s,"code":%[2]s,"reason":%[2]s,"image":%[2]s,"boot_id":%[2]s,"errors":[%[2]s]}`+"\n", line, word)
		fmt.Fprintf(&ledger, `%s,"phase":%s,"command":%[2]s,"profile":"p%02d","action":"started","code":%[2]s,"reason":%[2]s,"prior_state":%[2]s,"prior_exit":%[2]s,`+
			`"policy":{"revision":%[2]s,"source":%[2]s},"facts":{"tokens":%[2]s},"contributions":[{"set":"start","rule":%[2]s,"location":%[2]s,"reason":%[2]s}],`+
			`"operations":[{"op":"sweep","file":%[2]s,"done":true,"error":%[2]s}]}`+"\n", line, word, i)
		state := `{"desired_state":` + word + `,"gateway_state":` + word + `,"exit_reason":` + word + `,"platforms":{` + word + `:{"state":` + word + `}},"served_profiles":[` + word + `]}`
		dir := fmt.Sprintf("profiles/p%02d/", i)
		for name, content := range map[string]string{
			"SOUL.md": text, "gateway_state.json": state, "config.yaml": "platforms: {" + word + ": {token: " + word + "}}\nmodel: " + word + "\n",
			".env": text + "=x\nTELEGRAM_BOT_TOKEN=" + text + "\n", "gateway.pid": `{"pid":1,"argv":[` + word + `]}`, "processes.json": text,
			"state/gateway.lifecycle.json": `{"phase":` + word + `,"exit_reason":` + word + `}`, "state/reconcile.hold.json": `{"since_unix":1,"deaths":5,"files":{` + word + `:` + word + `}}`,
			"logs/gateway-exit-diag.log": text,
		} {
			hometest.Put(t, h.home, dir+name, content)
		}
		if name := entry(text); strings.Trim(name, ".") != "" {
			hometest.Put(t, h.home, "profiles/"+name+"/SOUL.md", text)
			hometest.Put(t, h.home, "profiles/"+name+"/gateway_state.json", `{"desired_state":"running"}`)
			hometest.Put(t, h.scan, "gateway-"+name+"/run", text)
			hometest.Put(t, h.plugins, name+".json", `{"container":{`+word+`:`+word+`}}`)
			hometest.Put(t, h.plugins, name+"program", text)
		}
		hometest.Put(t, h.plugins, fmt.Sprintf("plugin%02d.json", i), `{"container":{`+word+`:`+word+`},"profiles":{"coder":{`+word+`:`+word+`}}}`)
	}
	all := strings.Join(hometest.Hostile(), " ")
	hometest.Put(t, h.home, "logs/container-boot.jsonl", ledger.String())
	hometest.Put(t, h.home, "ESTOP", all)
	hometest.Put(t, h.home, "logs/gateways/coder/current", "2026-11-22 06:00:11.123456789  "+strings.Join(hometest.Hostile(), "\n2026-11-22 06:00:11.123456789  ")+"\n"+all+"\n")
	hometest.Put(t, h.home, "active_profile", all)
	hometest.Put(t, h.home, "config.yaml", "gateway: {multiplex_profiles: "+rawJSON(all)+"}\n")
	hometest.Put(t, h.home, "state/reconcile.owner.json", `{"host":`+rawJSON(all)+`,"seen_at":`+rawJSON(all)+`}`)
	hometest.Put(t, h.home, "profiles/coder/SOUL.md", "")
	hometest.Put(t, h.home, "profiles/coder/gateway_state.json", `{"desired_state":"running","exit_reason":`+rawJSON(all)+`}`)
	policy.NewNow(time.Now()) // which looks at TZ once in a process
	for _, name := range []string{"HERMES_GATEWAY_MULTIPLEX_PROFILES", "HERMES_GATEWAY_BOOTSTRAP_STATE", "HERMES_CONTAINER_ROLE", "TZ"} {
		t.Setenv(name, strings.ReplaceAll(all, "\x00", ""))
	}
	return h
}

// The operator sees text that an agent wrote. If the program printed the text unchanged,
// the agent could control the operator's terminal, add lines to a log, or break a document.
func TestNothingOnTheVolumeSteersATerminal(t *testing.T) {
	h := newHostilePlace(t)
	rules := filepath.Join(t.TempDir(), "rules")
	hometest.Put(t, rules, "quotes.rego", `package reconcile.rules.quotes

alarm contains {"profile": name, "code": "quotes", "reason": sprintf("%v", [profile])} if some name, profile in input.profiles

start contains {"profile": name, "reason": sprintf("%v", [profile.prior_state])} if some name, profile in input.profiles

`)
	hometest.Put(t, rules, "tried.rego", `# METADATA
# scope: package
# custom: {enforce: warn}
package reconcile.rules.tried

hold contains {"profile": "coder", "reason": "\u009b2J\u202e\n2026-11-22T06:00:11+0000 profile=x"} if input.profiles.coder
`)
	states := t.TempDir() // rules that are gone are another test
	places := []string{"--home", h.home, "--scandir", h.scan}
	withRules := append([]string{"--policy", rules}, places...)
	saved := filepath.Join(t.TempDir(), "saved.json")
	for _, test := range []struct {
		words string
		code  int
	}{
		{"facts", cli.ExitDone}, {"facts coder", cli.ExitDone}, {"eval", cli.ExitDone}, {"eval --dry-run", cli.ExitDone}, {"eval coder", cli.ExitDone}, {"eval --input " + saved, cli.ExitDone},
		{"explain coder", cli.ExitDone}, {"explain p00", cli.ExitDone}, {"explain p03 --rule prior_intent", cli.ExitDone}, {"explain p03 --verbose", cli.ExitDone}, {"explain default", cli.ExitDone},
		{"log", cli.ExitDone}, {"log p00 p01", cli.ExitDone}, {"log --boots 100", cli.ExitDone}, {"status", cli.ExitDone}, {"status p03", cli.ExitDone},
		{"status -o prometheus", cli.ExitDone}, {"status --check", cli.ExitProfile}, {"policy show", cli.ExitDone}, {"version", cli.ExitDone}, {"schema input", cli.ExitDone},
		{"boot --log-format text --log-level debug", cli.ExitDone}, {"boot --log-format json --log-level debug", cli.ExitDone}, {"apply --dry-run", cli.ExitDone}, {"log -n 3", cli.ExitDone},
		{"events", cli.ExitDone}, {"events p00 -n 3", cli.ExitDone}, {"logs coder", cli.ExitDone}, {"logs coder p00", cli.ExitProfile},
		{"eval nobody", cli.ExitUsage}, {"explain nobody", cli.ExitUsage}, {"start nobody", cli.ExitUsage},
	} {
		for _, format := range []string{"table", "json", "yaml"} {
			for i, places := range [][]string{places, withRules} {
				t.Setenv("HERMES_RECONCILE_STATE_DIR", filepath.Join(states, strconv.Itoa(i)))
				args := append(strings.Fields(test.words), places...)
				if strings.Contains(test.words, "prometheus") {
					format = "prometheus"
				} else if strings.HasPrefix(test.words, "boot") && format != "table" {
					continue
				} else {
					args = append(args, "-o", format)
				}
				as := format
				if (strings.HasPrefix(test.words, "events") || strings.HasPrefix(test.words, "logs")) && format == "json" {
					as = "lines"
				}
				checkOutput(t, args, as, test.code, saved)
			}
		}
	}
	t.Setenv("HERMES_RECONCILE_STATE_DIR", states)
	t.Setenv("HERMES_HOME", h.home)
	for _, text := range hometest.Hostile() {
		for _, command := range []string{"explain", "start", "log", "logs", "events", "unknown"} {
			checkOutput(t, append([]string{command, "--", text}, places...), "table", cli.ExitUsage, "")
		}
		checkOutput(t, []string{text}, "table", -1, "")
		checkOutput(t, []string{"eval", "--" + text}, "table", -1, "")
		checkOutput(t, []string{"eval", "--home", h.home, "--policy", text}, "table", -1, "")
		checkOutput(t, []string{"eval", "--config", text}, "table", -1, "")
	}
	for name, format := range map[string]string{"container-boot.log": "table", "container-boot.jsonl": "lines"} {
		text, err := os.ReadFile(filepath.Join(h.home, "logs", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "container-boot.jsonl" {
			old, _, _ := bytes.Cut(text, []byte(`{"time":"20`)) // what the agent wrote comes first
			text = text[len(old):]
			if _, ours, ok := bytes.Cut(text, []byte(`"prior_exit":"unknown"`)); ok {
				text = ours[bytes.IndexByte(ours, '\n')+1:]
			}
		}
		checkText(t, name, format, string(text))
	}
}

// checkOutput runs a command. A code of -1 is any but a crash.
func checkOutput(t *testing.T, args []string, format string, want int, saved string) {
	t.Helper()
	var out, errs bytes.Buffer
	what := strings.Join(args, " ")
	if args[0] == "facts" && format == "json" {
		defer func() { _ = os.WriteFile(saved, out.Bytes(), 0o644) }()
	}
	if code := run(t.Context(), args, strings.NewReader(""), &out, &errs); code != want && want >= 0 {
		t.Errorf("%q: exit status %d, want %d: %.300s", what, code, want, errs.String())
	}
	checkText(t, what, "table", errs.String())
	if args[0] == "boot" || args[0] == "version" || args[0] == "schema" || want == cli.ExitUsage || strings.Contains(what, "--check") {
		format = "table"
	}
	checkText(t, what, format, out.String())
}

var prometheusLine = regexp.MustCompile(`^(# (HELP|TYPE) hermes_reconcile_\w+ .*|hermes_reconcile_\w+(\{(\w+="([^"\\\n]|\\["\\n])*",?)*\})? [0-9.e+-]+)$`)

// checkText checks that a text steers no terminal, has no line of the agent's, and is a
// document of its format.
func checkText(t *testing.T, what, format, text string) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && (!unicode.IsPrint(r) || !policy.Printable(r)) }) {
			t.Errorf("%q prints %.300q", what, line)
		}
		for _, forged := range []string{"2026-11-22T06:00:11+0000 profile=x", "hermes-reconcile: all is well", "hermes_reconcile_forged", "ALARM   none"} {
			if strings.HasPrefix(line, forged) {
				t.Errorf("%q prints a line of the agent's: %.300q", what, line)
			}
		}
		if format == "prometheus" {
			sample := line[:strings.LastIndexByte(line, ' ')+1]
			if !prometheusLine.MatchString(line) || !strings.HasPrefix(line, "#") && seen[sample] {
				t.Errorf("%q: not a sample, or one that is there twice: %.300q", what, line)
			}
			seen[sample] = true
		}
		if format == "lines" && !json.Valid([]byte(line)) {
			t.Errorf("%s: not JSON: %.300q", what, line)
		}
	}
	var document any
	var err error
	switch format {
	case "json":
		err = json.Unmarshal([]byte(text), &document)
	case "yaml":
		err = yaml.Unmarshal([]byte(text), &document)
	default:
		return
	}
	if err != nil || document == nil {
		t.Errorf("%q: not %s: %v: %.300q", what, format, err, text)
	}
}

// JSON and YAML say exactly what the agent wrote.
func TestDocumentsLoseNothing(t *testing.T) {
	h := newHostilePlace(t)
	var asJSON, asYAML map[string]any
	for format, document := range map[string]*map[string]any{"json": &asJSON, "yaml": &asYAML} {
		text := output(t, "log", "-n", "200", "-o", format, "--home", h.home, "--scandir", h.scan)
		if err := yaml.Unmarshal(text, document); format == "yaml" && err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, document); format == "json" && err != nil {
			t.Fatal(err)
		}
	}
	texts := map[string]bool{}
	for _, document := range []map[string]any{asJSON, asYAML} {
		for _, entry := range document["entries"].([]any) {
			entry := entry.(map[string]any)
			entry["boot"] = fmt.Sprint(entry["boot"])
			texts[fmt.Sprint(entry["reason"])] = true
		}
		document["boots"], document["schema_version"] = nil, nil
	}
	if diff := cmp.Diff(asJSON, asYAML); diff != "" {
		t.Errorf("JSON and YAML differ (-JSON +YAML):\n%s", diff)
	}
	for _, text := range hometest.Hostile() {
		if want := strings.ToValidUTF8(text, "\ufffd"); utf8.ValidString(text) && !texts[want] {
			t.Errorf("%q is not in the document", want)
		}
	}
}

// A log on a terminal is text, one line for each entry, and steers nothing.
func TestLogsOnATerminalAreClean(t *testing.T) {
	ours, theirs := newTerminal(t, 24)
	_, errs, _ := terminal.Streams(io.Discard, theirs)
	log := terminal.NewLogger(config.Config{LogFormat: "auto"}, errs)
	for _, text := range hometest.Hostile() {
		log.Error("failed", "err", errors.New(text), "profile", text, "end", "here")
		got := readUntil(t, ours, "\n", 1)
		line := strings.TrimSuffix(got, "\r\n")
		if !strings.HasSuffix(line, "end=here") || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%.100q is logged as %q", text, got)
		}
	}
}
