package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	opa "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
)

// Sources are where the operator's rules are.
type Sources struct {
	Policy   []string           // directories, and URLs of bundles, in order
	User     string             // who must not be able to write them, as trust.NotByUser takes it
	StateDir string             // has the last good copy, and the copies of fetched bundles
	Keys     []policy.BundleKey // one of which has signed each bundle
	Require  bool               // a signature
	MaxBytes int64              // of a bundle; 0 is DefaultMaxBytes. Unpacked it may have ten times as many.
	// Instead are bundles that count instead of those in force, by source.
	Instead map[string]Fetched
	// Failed says why a bundle without a copy could not be fetched.
	Failed map[string]string
}

// DefaultMaxBytes is a hundred times the size of a bundle that people write.
const DefaultMaxBytes = 4 << 20

// The limits of an unpacked bundle.
const (
	unpacked  = 10 // times the packed size
	mostFiles = 2000

	maxRevision = 200 // bytes, because it is shown in one line
)

var algorithms = []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"}

// CheckSource checks the URL of a bundle. The error does not show what may be secret.
func CheckSource(source string) error {
	u, err := url.Parse(source)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case u.User != nil:
		return errors.New("a password in a URL is seen by everybody who sees the configuration; give it in bundles.services")
	case u.Scheme == "file" && (u.Host != "" || !filepath.IsAbs(u.Path)):
		return errors.New("want a path that begins with a slash, such as file:///etc/hermes-reconcile/bundle.tar.gz")
	case u.Scheme == "file":
		return nil
	case !slices.Contains([]string{"https", "http", "oci"}, u.Scheme):
		return fmt.Errorf("%q is none of https, oci, file, http", u.Scheme)
	case u.Host == "" || strings.Trim(u.Path, "/") == "":
		return errors.New("want a host and a path, such as https://policy.example.com/bundle.tar.gz")
	}
	return nil
}

// Layers returns the layers in order: the built-in one, then the operator's. A bundle that
// cannot be used is a layer that cannot be read.
func (s Sources) Layers() []rego.Layer {
	all := []rego.Layer{rego.BuiltIn()}
	for _, source := range s.Policy {
		if !policy.IsBundle(source) {
			all = append(all, rego.Layer{Name: source, Files: trust.Files(source, trust.NotByUser(s.User))})
			continue
		}
		layer := rego.Layer{Name: policy.ShownSource(source)}
		files, info, err := s.read(source)
		if layer.Files, layer.Bundle = files, &info; err != nil {
			layer.Files, layer.Bundle = unreadable{err}, nil
		}
		all = append(all, layer)
	}
	return all
}

// Places returns the files and directories from which the layers are read.
func (s Sources) Places() []string {
	var places []string
	for _, source := range s.Policy {
		switch {
		case !policy.IsBundle(source):
			places = append(places, source)
		case policy.IsFetched(source):
			places = append(places, filepath.Join(s.StateDir, copyName(source)))
		default:
			places = append(places, strings.TrimPrefix(source, "file://"))
		}
	}
	return places
}

// An unreadable is a layer that cannot be read.
type unreadable struct{ err error }

func (u unreadable) Open(name string) (fs.File, error) {
	if name != "." { // one error is enough
		return nil, fs.ErrNotExist
	}
	return nil, u.err
}

// read reads and verifies a bundle, or the copy of one that was fetched.
func (s Sources) read(source string) (fs.FS, policy.Bundle, error) {
	info := policy.Bundle{Source: policy.ShownSource(source)}
	keys, err := s.verification()
	if err = cmp.Or(CheckSource(source), err); err != nil {
		return nil, info, err
	}
	var text []byte
	if policy.IsFetched(source) {
		c, ok := s.Instead[source]
		if !ok {
			c, err = ReadCopy(s.StateDir, source, InForce)
		}
		info.Activated, text = c.Activated, c.Text
		if why := s.Failed[source]; why != "" && errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no copy of it yet, and it cannot be fetched: %s", why)
		} else if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("there is no copy of it in state_dir yet; a boot and the watch fetch it")
		}
	} else {
		text, err = trust.Read(strings.TrimPrefix(source, "file://"), trust.NotByUser(s.User), s.maxBytes())
	}
	if err != nil {
		return nil, info, err
	}
	info.Digest = policy.Digest(text)
	files, err := s.open(text, keys, &info)
	return files, info, err
}

func (s Sources) maxBytes() int64 {
	if s.MaxBytes > 0 {
		return s.MaxBytes
	}
	return DefaultMaxBytes
}

// open unpacks and verifies the text of a bundle, and fills in what its manifest says. OPA's
// own reader would parse the rules, which takes four times as long as all the rest, and the
// loader parses them anyway.
func (s Sources) open(text []byte, keys *opa.VerificationConfig, info *policy.Bundle) (fs.FS, error) {
	files, err := s.unpack(text)
	if err != nil {
		return nil, fmt.Errorf("it cannot be unpacked: %w", err)
	}
	if info.Signed, err = verifySignature(files, keys); err != nil {
		return nil, fmt.Errorf("it cannot be verified: %w", err)
	}
	var manifest opa.Manifest
	if err := util.Unmarshal(files[opa.ManifestExt], &manifest); err != nil && files[opa.ManifestExt] != nil {
		return nil, fmt.Errorf("%s: %w", opa.ManifestExt, err)
	}
	info.Revision = manifest.Revision
	if err := fromMetadata(info, manifest.Metadata); err != nil {
		return nil, fmt.Errorf("%s: metadata.rollout: %w", opa.ManifestExt, err)
	}
	if len(info.Revision)+len(info.Sequence) > maxRevision {
		return nil, fmt.Errorf("its revision and sequence have more than %d bytes", maxRevision)
	}
	return layerOf(files)
}

// verifySignature verifies the signature of a bundle, and every file with it.
func verifySignature(files map[string][]byte, keys *opa.VerificationConfig) (signed bool, err error) {
	text, signed := files[signatures]
	switch {
	case keys == nil, !signed && !keys.SignatureRequired():
		return false, nil
	case !signed:
		return false, errors.New("it is not signed, and require_signature wants a signature of a key of policy_keys")
	}
	var config opa.SignaturesConfig
	if err := json.Unmarshal(text, &config); err != nil {
		return false, fmt.Errorf("%s: %w", signatures, err)
	}
	want, err := opa.VerifyBundleSignature(config, keys)
	if err != nil {
		return false, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name == signatures {
			continue
		}
		if err := opa.VerifyBundleFile(name, *bytes.NewBuffer(files[name]), want); err != nil {
			return false, err
		}
	}
	for name := range want {
		return false, fmt.Errorf("%s is signed, and missing", name)
	}
	return true, nil
}

const signatures = ".signatures.json"

// layerOf returns the files of a layer. OPA's own commands put settings into data.json.
func layerOf(files map[string][]byte) (fs.FS, error) {
	files = maps.Clone(files)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch base := path.Base(name); {
		case base == "patch.json":
			return nil, errors.New("it is a delta bundle, want a whole one")
		case base == opa.ManifestProtoExt:
			return nil, errors.New("its manifest is binary, want " + opa.ManifestExt)
		case base != opa.ManifestExt && opa.IsStructuredDoc(name):
			text, err := settingsOf(name, files[name])
			if err != nil {
				return nil, err
			}
			if text != nil && files[rego.SettingsFile] != nil {
				return nil, fmt.Errorf("it has settings both in %s and in OPA's data files", rego.SettingsFile)
			}
			if text != nil {
				files[rego.SettingsFile] = text
			}
			delete(files, name)
		}
	}
	return filesOf(files)
}

// settingsOf returns the settings in a data file of OPA as a settings file, or nil if there are
// none. What the signature covers is what OPA's parser sees, so that is what counts.
func settingsOf(name string, text []byte) ([]byte, error) {
	var data map[string]any
	if err := util.Unmarshal(text, &data); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for key := range data {
		if key != "settings" || name != path.Base(name) {
			return nil, fmt.Errorf("%s has data, and rules here have only data.settings, in a file at the top", name)
		}
	}
	if len(data) == 0 {
		return nil, nil
	}
	return json.MarshalIndent(data, "", "  ")
}

// fromMetadata fills in what the metadata of a manifest say.
func fromMetadata(info *policy.Bundle, metadata map[string]any) error {
	if sequence, ok := metadata["sequence"]; ok {
		info.Sequence = fmt.Sprint(sequence)
	}
	if metadata["rollout"] == nil {
		return nil
	}
	text, err := json.Marshal(metadata["rollout"])
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err = decoder.Decode(&info.Rollout); err == nil {
		err = info.Rollout.Check()
	}
	return err
}

// unpack reads a gzipped tar archive. Nothing but regular files may be in it.
func (s Sources) unpack(text []byte) (map[string][]byte, error) {
	zip, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	most := unpacked * s.maxBytes()
	limited := &io.LimitedReader{R: zip, N: most + 1}
	all, err := readTar(tar.NewReader(limited), most)
	if limited.N <= 0 {
		return nil, fmt.Errorf("it has more than %d bytes, ten times bundles.max_bytes", most)
	}
	return all, err
}

func readTar(archive *tar.Reader, most int64) (map[string][]byte, error) {
	for all := map[string][]byte{}; ; {
		header, err := archive.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		switch name := strings.TrimPrefix(path.Clean("/"+header.Name), "/"); {
		case header.Typeflag == tar.TypeDir:
		case header.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("%s is a link or a device, want regular files", name)
		case all[name] != nil:
			return nil, fmt.Errorf("%s is there twice", name)
		case len(all) == mostFiles:
			return nil, fmt.Errorf("it has more than %d files", mostFiles)
		case header.Size > most:
			return nil, fmt.Errorf("%s has %d bytes, want at most %d", name, header.Size, most)
		default:
			data, err := io.ReadAll(archive)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all[name] = data
		}
	}
}

// verification makes the keys those of OPA. They are nil when nothing is verified.
func (s Sources) verification() (*opa.VerificationConfig, error) {
	if len(s.Keys) == 0 && s.Require {
		return nil, errors.New("require_signature is true, and policy_keys has no key")
	}
	if len(s.Keys) == 0 {
		return nil, nil
	}
	keys := map[string]*opa.KeyConfig{}
	for i, k := range s.Keys {
		text, err := s.public(k)
		if err == nil && (k.ID == "" || keys[k.ID] != nil) {
			err = errors.New("want an id that no other key has")
		}
		if err != nil {
			return nil, fmt.Errorf("policy_keys: key %d, %q: %w", i+1, k.ID, err)
		}
		keys[k.ID] = &opa.KeyConfig{Key: text, Algorithm: k.Algorithm, Scope: k.Scope}
	}
	only := "" // the signature names the key
	if len(s.Keys) == 1 {
		only = s.Keys[0].ID
	}
	config := opa.NewVerificationConfig(keys, only, "", nil)
	if !s.Require {
		config = config.WithOptionalSignature()
	}
	return config, nil
}

// public returns the text of a public key.
func (s Sources) public(k policy.BundleKey) (string, error) {
	if strings.HasPrefix(k.Algorithm, "HS") {
		return "", fmt.Errorf("%s verifies with the secret that signs, so every container could sign; want one of %s", k.Algorithm, strings.Join(algorithms, ", "))
	}
	if !slices.Contains(algorithms, k.Algorithm) {
		return "", fmt.Errorf("algorithm is %q, want one of %s", k.Algorithm, strings.Join(algorithms, ", "))
	}
	if filepath.IsAbs(k.Key) {
		text, err := trust.Read(k.Key, trust.NotByUser(s.User), maxKey)
		if err != nil {
			return "", err
		}
		k.Key = string(text)
	}
	block, _ := pem.Decode([]byte(k.Key))
	if block == nil || strings.Contains(block.Type, "PRIVATE") {
		return "", errors.New("want a public key as PEM has it, or the path of a file with one; a private key stays where bundles are built")
	}
	return k.Key, nil
}

// maxKey limits the file of a key, in bytes.
const maxKey = 64 << 10
