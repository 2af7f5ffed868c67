package rego

import (
	"fmt"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// instead says what an author who wanted a builtin that is taken out can use.
var instead = map[string]string{
	"time.now_ns":        "use input.now.unix_ns",
	"http.send":          "write an external fact",
	"net.lookup_ip_addr": "write an external fact",
	"opa.runtime":        "use input.container.environment",
	"rand.intn":          "decisions must be repeatable",
	"uuid.rfc4122":       "decisions must be repeatable",
}

// unsafeBuiltins are the builtins whose result depends on more than their
// arguments.
func unsafeBuiltins() map[string]struct{} {
	names := map[string]struct{}{}
	for _, b := range ast.Builtins {
		if b.Nondeterministic {
			names[b.Name] = struct{}{}
		}
	}
	for name := range instead {
		names[name] = struct{}{}
	}
	return names
}

func unsafeBuiltin(name string) string {
	if hint, ok := instead[name]; ok {
		return fmt.Sprintf("%s is not available to rules: %s", name, hint)
	}
	return name + " is not available to rules: a decision depends on its input alone"
}

// capabilities are the language that every rule package has: without the unsafe
// builtins, and without remote references in a JSON schema. Nobody changes them.
var capabilities = sync.OnceValue(func() *ast.Capabilities {
	unsafe := unsafeBuiltins()
	c := ast.CapabilitiesForThisVersion()
	c.AllowNet = []string{}
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		_, taken := unsafe[b.Name]
		return taken
	})
	return c
})

// newCompiler returns a compiler with the restrictions that every rule package has.
func newCompiler() *ast.Compiler {
	return ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities())
}

// checkStages are the stages of the compiler that change nothing in the rules: they
// look for mistakes, or for what is needed to do so.
var checkStages = []ast.StageID{
	ast.StageCheckUnusedImports,
	ast.StageCheckKeywordOverrides,
	ast.StageCheckDuplicateImports,
	ast.StageCheckVoidCalls,
	ast.StageParseMetadataBlocks,
	ast.StageSetAnnotationSet,
	ast.StageSetGraph,
	ast.StageCheckRuleConflicts,
	ast.StageCheckUndefinedFuncs,
	ast.StageCheckSafetyRuleHeads,
	ast.StageCheckRecursion,
	ast.StageCheckTypes,
	ast.StageCheckUnsafeBuiltins,
	ast.StageCheckDeprecatedBuiltins,
	ast.StageBuildRequiredCapabilities,
}
