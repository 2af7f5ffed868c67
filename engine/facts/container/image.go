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
	Source  string `json:"source,omitempty" about:"the first of the files that was read" words:"install_stamp,provenance,build_sha,pyproject"`
}

// image identifies the image. The two files and their releases name the keys differently, so
// the first key that has a value wins.
func (c Config) image() imageFact {
	f := imageFact{Outcome: read.Outcome{Status: policy.StatusMissing}}
	for _, place := range []struct{ name, path string }{{"install_stamp", filepath.Join(c.CodeDir, "install-stamp.json")}, {"provenance", c.Provenance}} {
		keys, out := read.ObjectIn(read.Path(place.path, read.MaxState))
		switch {
		case out.Status == policy.StatusRecorded:
			f.Outcome, f.Source = read.Recorded, cmp.Or(f.Source, place.name)
			f.Version = cmp.Or(f.Version, firstText(keys, "version", "derived_version", "base_version", "release", "tag", "image_tag"))
			f.SHA = cmp.Or(f.SHA, firstText(keys, "commit", "sha", "revision", "git_sha", "vcs_ref", "digest"))
		case out.Status != policy.StatusMissing && f.Source == "":
			f.Outcome = out
		}
	}
	f.addBuild(c.CodeDir)
	return f
}

var projectVersion = policy.Pattern(`(?m)^version\s*=\s*"([^"\s]{1,64})"`)

// addBuild adds what the code's own files say, for images without the two others.
func (f *imageFact) addBuild(dir string) {
	if data, out := read.Path(filepath.Join(dir, ".hermes_build_sha"), read.MaxState); out.Status == "" && f.SHA == "" {
		if f.SHA = read.Bounded(strings.TrimSpace(string(data)), 64); f.SHA != "" {
			f.Outcome, f.Source = read.Recorded, cmp.Or(f.Source, "build_sha")
		}
	}
	if data, out := read.Path(filepath.Join(dir, "pyproject.toml"), read.MaxConfig); out.Status == "" && f.Version == "" {
		if found := projectVersion().FindSubmatch(data); found != nil {
			f.Version, f.Outcome, f.Source = string(found[1]), read.Recorded, cmp.Or(f.Source, "pyproject")
		}
	}
}

func firstText(keys read.Object, names ...string) string {
	for _, name := range names {
		if s := keys.Text(name, 256); s != nil && *s != "" {
			return *s
		}
	}
	return ""
}
