package facts

import (
	"cmp"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type imageFact struct {
	read.Outcome
	Version string `json:"version,omitempty" about:"version or release, from install-stamp.json of the installation or image-provenance.json in /etc/hermes"`
	SHA     string `json:"sha,omitempty" about:"commit or digest, from the same files"`
	Source  string `json:"source,omitempty" about:"the first of the two files that was read" words:"install_stamp,provenance"`
}

// image identifies the image. The two files and their releases name the keys differently, so
// the first key that has a value wins.
func image(c Config) Source {
	return containerFact("image", byImage, "which image this is", func() imageFact {
		f := imageFact{Outcome: read.Outcome{Status: policy.StatusMissing}}
		for _, place := range []struct{ name, path string }{{"install_stamp", c.InstallStamp}, {"provenance", c.Provenance}} {
			data, out := read.Path(place.path, read.MaxState)
			var keys read.Object
			if out.Status == "" {
				keys, out = read.ParseObject(data)
			}
			switch {
			case out.Status == policy.StatusRecorded:
				f.Outcome, f.Source = read.Recorded, cmp.Or(f.Source, place.name)
				f.Version = cmp.Or(f.Version, firstText(keys, "version", "derived_version", "base_version", "release", "tag", "image_tag"))
				f.SHA = cmp.Or(f.SHA, firstText(keys, "commit", "sha", "revision", "git_sha", "vcs_ref", "digest"))
			case out.Status != policy.StatusMissing && f.Source == "":
				f.Outcome = out
			}
		}
		return f
	})
}

func firstText(keys read.Object, names ...string) string {
	for _, name := range names {
		if s := keys.Text(name, 256); s != nil && *s != "" {
			return *s
		}
	}
	return ""
}
