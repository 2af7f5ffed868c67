package watch

import (
	"os"
	"path/filepath"

	"hermes-reconcile/policy"
)

// BundlesFile has what the watch knows of the bundles that it fetches.
const BundlesFile = "bundles.json"

// KeepBundles writes what a watch knows of the bundles that it fetches.
func KeepBundles(dir string, bundles []policy.Bundle) error {
	if len(bundles) == 0 {
		_ = os.Remove(filepath.Join(dir, BundlesFile)) // there is seldom one
		return nil
	}
	return write(dir, BundlesFile, bundles)
}

// ReadBundles reads what KeepBundles wrote; see ReadState.
func ReadBundles(dir string) (bundles []policy.Bundle, err error) {
	err = read(dir, BundlesFile, &bundles)
	return bundles, err
}
