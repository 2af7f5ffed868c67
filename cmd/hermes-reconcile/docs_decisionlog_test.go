package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"hermes-reconcile/engine/decisionlog"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/s6/s6test"
)

// The event of docs/decision-log.md is that of a boot, but for what differs with each boot, and
// the table there explains each key.
func TestDocumentedEvent(t *testing.T) {
	page := readDoc(t, "docs/decision-log.md")
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(page)
	if block == nil {
		t.Fatal("the page shows no event")
	}
	var shown, event decisionlog.Event
	decoder := json.NewDecoder(strings.NewReader(block[1]))
	decoder.DisallowUnknownFields()
	s6test.Must(t, decoder.Decode(&shown))

	dir := t.TempDir()
	hometest.Put(t, dir, "home/profiles/coder/SOUL.md", "x")
	hometest.Put(t, dir, "home/profiles/coder/gateway_state.json", `{"desired_state":"running"}`)
	hometest.Put(t, dir, "policy/scratch.rego", `package reconcile.rules.scratch

hold contains {"profile": "coder", "code": "scratch", "reason": "scratch profiles never start by themselves"} if input.profiles.coder
`)
	hometest.Put(t, dir, "config.yaml", fmt.Sprintf("user: \"%d:%d\"\nrun_dir: %s/run\nstate_dir: %[3]s/state\nlabels: {site: berlin}\ndecision_log: {console: true}\nsettings: {disabled_rules: [crash_loop]}\n", os.Getuid(), os.Getgid(), dir))
	text := output(t, "boot", "--home", dir+"/home", "--scandir", dir+"/scan", "--config", dir+"/config.yaml", "--policy", dir+"/policy")
	first, _, _ := bytes.Cut(text, []byte("\n"))
	s6test.Must(t, json.Unmarshal(first, &event))
	for _, key := range []string{"container", "host"} {
		event.Labels[key] = shown.Labels[key]
	}
	event.DecisionID, event.Timestamp, event.Metrics, event.Input, event.Bundles = shown.DecisionID, shown.Timestamp, shown.Metrics, shown.Input, shown.Bundles
	delete(event.Labels, "version")
	for i, c := range event.Result.Contributions {
		event.Result.Contributions[i].Location = strings.TrimPrefix(c.Location, dir+"/policy/")
	}
	again, err := json.MarshalIndent(event, "", "  ")
	s6test.Must(t, err)
	if string(again)+"\n" != block[1] {
		t.Errorf("a boot writes\n%s\nand the page shows\n%s", again, block[1])
	}
	var keys map[string]any
	s6test.Must(t, json.Unmarshal(first, &keys))
	for key := range keys {
		if !strings.Contains(page, "\n| `"+key+"`") {
			t.Errorf("the page does not explain the key %s", key)
		}
	}
	// A reader can keep the masks of the page as they are.
	mask := regexp.MustCompile("(?s)```rego\n(.*?)```").FindStringSubmatch(page)
	hometest.Put(t, dir, "masks/mask.rego", mask[1])
	output(t, "policy", "check", "--strict", dir+"/masks")
	text = output(t, "boot", "--home", dir+"/home", "--scandir", dir+"/scan2", "--config", dir+"/config.yaml", "--policy", dir+"/masks", "--log-level", "error")
	if bytes.Contains(text, []byte(`"/result/reason"`)) {
		t.Errorf("the masks of the page do not work: %s", text)
	}
}
