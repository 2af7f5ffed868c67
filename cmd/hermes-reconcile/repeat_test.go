package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hermes-reconcile/policy"
)

// For any home, a boot does what eval showed, and a second run has nothing to do.
func TestASecondRunIsEmpty(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "config.yaml")
	settings := fmt.Sprintf("user: \"%d:%d\"\nstate_dir: %s\ns6: {ownership: upstream}\n", os.Getuid(), os.Getgid(), t.TempDir())
	if err := os.WriteFile(config, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	states := rapid.SampledFrom([]string{
		"", "[", "{}", `{"desired_state":"running"}`, `{"desired_state":"stopped"}`, `{"gateway_state":"running"}`,
		`{"gateway_state":"draining"}`, `{"gateway_state":"startup_failed","desired_state":"running"}`, `{"desired_state":["x"]}`,
	})
	names := rapid.SampledFrom([]string{"coder", "writer", "a_b-c", "Bad", "default", "-x", "x y", "0"})
	rapid.Check(t, func(rt *rapid.T) {
		base, err := os.MkdirTemp(t.TempDir(), "run")
		if err != nil {
			rt.Fatal(err)
		}
		home := filepath.Join(base, "home")
		write := func(name, text string) {
			path := filepath.Join(home, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				rt.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				rt.Fatal(err)
			}
		}
		dirs := []string{"."}
		for _, name := range rapid.SliceOfNDistinct(names, 0, 5, rapid.ID).Draw(rt, "profiles") {
			dirs = append(dirs, "profiles/"+name)
			if rapid.Bool().Draw(rt, "marker") {
				write("profiles/"+name+"/SOUL.md", "")
			}
		}
		for _, dir := range dirs {
			if state := states.Draw(rt, "state"); state != "" {
				write(dir+"/gateway_state.json", state)
			}
			for _, file := range []string{"gateway.pid", "processes.json", ".env"} {
				if rapid.Bool().Draw(rt, file) {
					write(dir+"/"+file, "A=1")
				}
			}
		}
		if err := os.MkdirAll(home, 0o755); err != nil {
			rt.Fatal(err)
		}
		places := []string{"--home", home, "--scandir", filepath.Join(base, "scan"), "--config", config}
		var before policy.Decisions
		if err := json.Unmarshal(output(t, append([]string{"eval", "--dry-run", "-o", "json"}, places...)...), &before); err != nil {
			rt.Fatal(err)
		}
		output(t, append([]string{"boot", "--strict"}, places...)...)
		if want, got := steps(before.Plan), recordedSteps(t, home); !slices.Equal(got, want) {
			rt.Fatalf("shown %v, done %v", want, got)
		}

		var after policy.Decisions
		if err := json.Unmarshal(output(t, append([]string{"eval", "--dry-run", "-o", "json"}, places...)...), &after); err != nil {
			rt.Fatal(err)
		}
		if len(after.Plan) > 0 {
			rt.Fatalf("the second run would %+v", after.Plan)
		}
		for name, d := range after.Profiles {
			_, err := os.Stat(filepath.Join(base, "scan", "gateway-"+name))
			if slot := err == nil; slot != (d.Action != policy.ActionSkip) && !strings.Contains(name, "/") {
				rt.Fatalf("%s: action %s, slot %t", name, d.Action, slot)
			}
		}
	})
}
