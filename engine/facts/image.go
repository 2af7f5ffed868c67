package facts

import (
	"context"

	"hermes-reconcile/policy"
)

type imageFact struct {
	outcome
	Version string `json:"version,omitempty"`
	SHA     string `json:"sha,omitempty"`
	Source  string `json:"source,omitempty"`
}

// image identifies the image. Keys differ between the two files and between
// releases, so the first that is there counts.
func image(c Config) Source {
	return Source{"image", imageSchema, func(context.Context) (any, error) {
		f := imageFact{outcome: outcome{Status: policy.StatusMissing}}
		for _, place := range []struct{ name, path string }{{"install_stamp", c.InstallStamp}, {"provenance", c.Provenance}} {
			data, out := readPath(place.path, maxState)
			var keys fields
			if out.Status == "" {
				keys, out = parseObject(data)
			}
			if out.Status != policy.StatusRecorded {
				if f.Source == "" && out.Status != policy.StatusMissing {
					f.outcome = out
				}
				continue
			}
			f.fill(keys, place.name)
		}
		return f, nil
	}}
}

func (f *imageFact) fill(keys fields, source string) {
	version := firstText(&keys, "version", "derived_version", "base_version", "release", "tag", "image_tag")
	sha := firstText(&keys, "commit", "sha", "revision", "git_sha", "vcs_ref", "digest")
	if f.Version == "" {
		f.Version = version
	}
	if f.SHA == "" {
		f.SHA = sha
	}
	if f.Source == "" {
		f.outcome, f.Source = recorded, source
	}
}

func firstText(keys *fields, names ...string) string {
	for _, name := range names {
		if s := keys.text(name, 256); s != nil && *s != "" {
			return *s
		}
	}
	return ""
}

func imageSchema() string {
	return fact(byImage, "which image this is", properties{
		"version": text("version or release, from install-stamp.json of the installation or image-provenance.json in /etc/hermes"),
		"sha":     text("commit or digest, from the same"),
		"source":  word("the first of the two files that was read", "install_stamp", "provenance"),
	})
}
