package container

import (
	"cmp"
	"path/filepath"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type imageFact struct {
	read.Outcome
	Version string `json:"version,omitempty" about:"version or release, from install-stamp.json or pyproject.toml of the installation, or image-provenance.json in /etc/hermes"`
	SHA     string `json:"sha,omitempty" about:"commit or digest, from install-stamp.json, .hermes_build_sha or image-provenance.json"`
}

var projectVersion = policy.Pattern(`(?m)^version\s*=\s*"([^"\s]{1,64})"`)

// image identifies the image. The two files and their releases name the keys differently, so
// the first key that has a value wins. What the code's own files say counts for images without
// the two.
func (c Config) image() imageFact {
	f := imageFact{Outcome: read.Outcome{Status: policy.StatusMissing}}
	for _, path := range []string{filepath.Join(c.CodeDir, "install-stamp.json"), c.Provenance} {
		keys, out := read.ObjectIn(read.Path(path, read.MaxState))
		if f.Status != policy.StatusRecorded && out.Status != policy.StatusMissing {
			f.Outcome = out
		}
		f.Version = cmp.Or(f.Version, firstText(keys, "version", "derived_version", "base_version", "release", "tag", "image_tag"))
		f.SHA = cmp.Or(f.SHA, firstText(keys, "commit", "sha", "revision", "git_sha", "vcs_ref", "digest"))
	}
	if f.SHA == "" {
		data, _ := read.Path(filepath.Join(c.CodeDir, ".hermes_build_sha"), read.MaxState)
		f.SHA = read.Bounded(strings.TrimSpace(string(data)), 64)
	}
	if f.Version == "" {
		data, _ := read.Path(filepath.Join(c.CodeDir, "pyproject.toml"), read.MaxConfig)
		if found := projectVersion().FindSubmatch(data); found != nil {
			f.Version = string(found[1])
		}
	}
	if f.Version != "" || f.SHA != "" {
		f.Outcome = read.Recorded
	}
	return f
}

func firstText(keys read.Object, names ...string) string {
	for _, name := range names {
		if s := keys.Text(name, 256); s != nil && *s != "" {
			return *s
		}
	}
	return ""
}
