package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/rego/process"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in fixtures")

func TestMain(m *testing.M) {
	if patience, err := time.ParseDuration(os.Getenv("TEST_PATIENCE")); err == nil {
		terminal.PatienceForData, terminal.PatienceForLog = patience, patience // a test does not wait for minutes
	}
	if programs, err := filepath.Abs("testdata/bin"); err == nil { // has a hermes, without which plans have an alarm
		os.Setenv("PATH", programs+string(filepath.ListSeparator)+os.Getenv("PATH"))
	}
	if os.Getenv(withoutService) == "" {
		os.Setenv(withoutService, "false")
	}
	start := func() { os.Exit(program()) }
	// The finish scripts of the slots call the program that created the slots.
	if remote.IsChild(os.Args) || process.IsChild(os.Args) || len(os.Args) > 1 && os.Args[1] == "died" {
		start()
	}
	testscript.Main(m, map[string]func(){"hermes-reconcile": start, topExample: drawTopExample})
}

// withoutService is the variable that keeps the service out of the plans and trees of tests
// that are not about it.
const withoutService = "HERMES_RECONCILE_WATCH__ENABLED"

// Each script in fixtures is a home, a command and the expected result.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                "../../fixtures",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			// The volume belongs to the user of the test, even if that is root.
			env.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
			env.Setenv("HERMES_RECONCILE_S6__OWNERSHIP", "upstream") // root as the user is an alarm else
			env.Setenv(withoutService, "false")
			env.Setenv("HERMES_HOME", env.WorkDir+"/home")
			env.Setenv("S6_PROFILE_GATEWAY_SCANDIR", env.WorkDir+"/scan")
			for name, dir := range map[string]string{"RECIPES": "../../rego/recipes", "EXAMPLES": "../../docs/examples"} {
				path, err := filepath.Abs(dir)
				if err != nil {
					return err
				}
				env.Setenv(name, path)
			}
			env.Setenv("GORACE", os.Getenv("GORACE")) // a script does not inherit the environment
			env.Setenv("HERMES_RECONCILE_STATE_DIR", env.WorkDir+"/state")
			env.Setenv("HERMES_RECONCILE_RUN_DIR", env.WorkDir+"/run")
			return os.MkdirAll(env.WorkDir+"/scan", 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"slots": slots,
			"shown": shown,
		},
	})
}

// slots checks the slots in the scan directory: "slots coder=up writer=down".
func slots(ts *testscript.TestScript, neg bool, want []string) {
	if neg {
		ts.Fatalf("slots does not support !")
	}
	entries, err := os.ReadDir(ts.MkAbs("scan"))
	ts.Check(err)
	var have []string
	for _, e := range entries {
		name, isSlot := strings.CutPrefix(e.Name(), "gateway-")
		if !isSlot {
			continue
		}
		state := "up"
		if _, err := os.Stat(ts.MkAbs("scan/" + e.Name() + "/down")); err == nil {
			state = "down"
		}
		have = append(have, name+"="+state)
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		ts.Fatalf("the slots are %v, want %v", have, want)
	}
}
