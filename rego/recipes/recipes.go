// Package recipes holds rule packages that are shipped and not switched on. Each has a
// directory with <name>.rego, <name>_test.rego and settings.yaml.
package recipes

import "embed"

// Files holds one directory for each recipe.
//
//go:embed */*.rego */settings.yaml
var Files embed.FS
