package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hermes-reconcile/s6/s6test"
)

// The hooks run as root with the container's PATH, which may begin with a directory of the
// volume. Everything in them is a path, and what with-contenv looks up is in root's PATH.
func TestHooksNameRootsPathsOnly(t *testing.T) {
	t.Parallel()
	hooks, err := filepath.Glob("hook/*")
	if err != nil || len(hooks) != 2 {
		t.Fatalf("hooks: %v, %v", hooks, err)
	}
	const rootPath = "/command:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, hook := range hooks {
		data, err := os.ReadFile(hook)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if !strings.HasPrefix(text, "#!/bin/sh\n") || !strings.Contains(text, "\nexport PATH="+rootPath+"\nexec /command/with-contenv /usr/local/bin/hermes-reconcile ") {
			t.Errorf("%s sets no PATH for root, or looks a program up: %s", hook, text)
		}
		for _, program := range s6test.RootsCommands(t, text) {
			if !slices.Contains(strings.Split(rootPath, ":"), filepath.Dir(program)) {
				t.Errorf("%s runs %s", hook, program)
			}
		}
	}
}
