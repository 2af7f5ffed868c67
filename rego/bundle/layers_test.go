package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	opa "github.com/open-policy-agent/opa/v1/bundle"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

const manifest7 = `{"revision": "7", "roots": ["reconcile", "settings"], "rego_version": 1, "metadata": {"sequence": 12}}`

// tarball packs files, name and text in turn.
func tarball(t *testing.T, files ...string) []byte {
	t.Helper()
	var text bytes.Buffer
	zip := gzip.NewWriter(&text)
	archive := tar.NewWriter(zip)
	for i := 0; i < len(files); i += 2 {
		must(t, archive.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}))
		_, err := archive.Write([]byte(files[i+1]))
		must(t, err)
	}
	must(t, archive.Close())
	must(t, zip.Close())
	return text.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signed signs a bundle as OPA does.
func signed(t *testing.T, text []byte, private, algorithm, keyID, scope string) []byte {
	t.Helper()
	b, err := opa.NewReader(bytes.NewReader(text)).WithSkipBundleVerification(true).Read()
	must(t, err)
	claims := filepath.Join(t.TempDir(), "claims.json")
	must(t, os.WriteFile(claims, []byte(`{"scope": "`+scope+`"}`), 0o600))
	must(t, b.GenerateSignature(opa.NewSigningConfig(private, algorithm, claims), keyID, false))
	var again bytes.Buffer
	must(t, opa.NewWriter(&again).DisableFormat(true).Write(b))
	return again.Bytes()
}

// keyPair makes a key as PEM has it.
func keyPair(t *testing.T, algorithm string) (private, public string) {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm[0] {
	case 'E':
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if algorithm == "EdDSA" {
			_, key, err = ed25519.GenerateKey(rand.Reader)
		}
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	open, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open}))
}

// loaded loads a bundle that is a file.
func loaded(t *testing.T, s Sources, text []byte) (*rego.Evaluator, string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	must(t, os.WriteFile(file, text, 0o644))
	s.Policy = []string{"file://" + file}
	e, err := rego.Load(s.Layers(), rego.Options{})
	return e, s.Policy[0], err
}

// A bundle decides as the directory does from which it was made, wherever its settings are.
func TestABundleIsALayer(t *testing.T) {
	t.Parallel()
	settings := "settings: {mine: [a]}\n"
	directory, err := rego.Load(directory(writeFiles(t, map[string]string{"deep/site.rego": siteRule, rego.SettingsFile: settings})), rego.Options{})
	must(t, err)
	for name, text := range map[string][]byte{
		"tar":          tarball(t, "deep/site.rego", siteRule, rego.SettingsFile, settings, ".manifest", manifest7, "deep/site_test.rego", "package reconcile.rules.site_test"),
		"as OPA packs": tarball(t, "/.manifest", manifest7, "/deep/site.rego", siteRule, "/data.json", `{"settings": {"mine": ["a"]}}`),
	} {
		e, source, err := loaded(t, Sources{}, text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(e.Settings(), directory.Settings()) {
			t.Errorf("%s: the settings are %v, want %v", name, e.Settings(), directory.Settings())
		}
		result := e.Evaluate(t.Context(), policy.StageRules, input(running))
		want := source + ":deep/site.rego:3"
		found := false
		for _, c := range result.Contributions {
			found = found || c.Reason == "site" && c.Location == want
		}
		if !found || len(result.Failures) > 0 {
			t.Errorf("%s: no hold at %s: %+v", name, want, result)
		}
		info := policy.Bundle{Source: source, Revision: "7", Sequence: "12", Digest: policy.Digest(text)}
		if got := e.Status().Bundles; len(got) != 1 || got[0] != info {
			t.Errorf("%s: the status has %+v, want %+v", name, got, info)
		}
	}
}

// The layers of bundles and directories keep to the rules for all layers, and messages name them.
func TestBundlesKeepToTheRulesOfLayers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ rule, want string }{
		"built-in package": {"package reconcile.rules.prior_intent\n\nstart contains {\"profile\": \"a\", \"reason\": \"x\"} if true\n", "is already defined"},
		"no place":         {"package site\n\nx := 1\n", "has no place here"},
		"network":          {"package reconcile.rules.site\n\nhold contains {\"profile\": \"a\", \"reason\": \"x\"} if http.send({})\n", "http.send"},
	} {
		_, source, err := loaded(t, Sources{}, tarball(t, "site.rego", test.rule))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), source+":site.rego:") {
			t.Errorf("%s: %v, want %q at %s:site.rego", name, err, test.want, source)
		}
	}
}

// What signs counts, and nothing else does.
func TestSignatures(t *testing.T) {
	t.Parallel()
	plain := tarball(t, ".manifest", manifest7, "site.rego", siteRule, "data.json", `{"settings": {"mine": 1}}`)
	for _, algorithm := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		private, public := keyPair(t, algorithm)
		s := Sources{Require: true, Keys: []policy.BundleKey{{ID: "fleet", Key: public, Algorithm: algorithm, Scope: "write"}}}
		e, _, err := loaded(t, s, signed(t, tarball(t, ".manifest", manifest7, "site.rego", siteRule), private, algorithm, "other", "write"))
		if err != nil || !e.Status().Bundles[0].Signed {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	private, public := keyPair(t, "ES256")
	stranger, _ := keyPair(t, "ES256")
	good := signed(t, plain, private, "ES256", "", "")
	key := policy.BundleKey{ID: "fleet", Key: public, Algorithm: "ES256"}
	other := key
	other.ID = "other"
	scoped := key
	scoped.Scope = "write"
	changed := func(name, text string) []byte {
		b := unpacked8(t, good)
		b[name] = text
		return tarball(t, pairs(b)...)
	}
	for name, test := range map[string]struct {
		keys     []policy.BundleKey
		optional bool
		text     []byte
		want     string // "": it is used
	}{
		"good":                 {[]policy.BundleKey{key}, false, good, ""},
		"unsigned":             {[]policy.BundleKey{key}, false, plain, "it is not signed, and require_signature wants"},
		"unsigned, optional":   {[]policy.BundleKey{key}, true, plain, ""},
		"no key":               {nil, false, good, "require_signature is true, and policy_keys has no key"},
		"no key, optional":     {nil, true, good, ""},
		"another's, optional":  {[]policy.BundleKey{key}, true, signed(t, plain, stranger, "ES256", "", ""), "failed to verify"},
		"another's":            {[]policy.BundleKey{key}, false, signed(t, plain, stranger, "ES256", "", ""), "failed to verify"},
		"a changed rule":       {[]policy.BundleKey{key}, false, changed("site.rego", siteRule+"# changed\n"), "digest mismatch"},
		"a changed manifest":   {[]policy.BundleKey{key}, false, changed(".manifest", strings.Replace(manifest7, `"7"`, `"8"`, 1)), "digest mismatch"},
		"another file":         {[]policy.BundleKey{key}, false, changed("more.rego", siteRule), "not included in bundle signature"},
		"without settings":     {[]policy.BundleKey{key}, false, changed("data.json", ""), "data.json is signed, and missing"},
		"another scope":        {[]policy.BundleKey{scoped}, false, good, "scope mismatch"},
		"several keys":         {[]policy.BundleKey{other, key}, false, good, "verification key ID is empty"},
		"several keys, named":  {[]policy.BundleKey{other, key}, false, signed(t, plain, private, "ES256", "fleet", ""), ""},
		"another key is named": {[]policy.BundleKey{other, key}, false, signed(t, plain, private, "ES256", "third", ""), "ID third not found"},
		"the same id twice":    {[]policy.BundleKey{key, key}, false, good, "an id that no other key has"},
		"secret for both":      {[]policy.BundleKey{{ID: "a", Key: "secret", Algorithm: "HS256"}}, false, good, "every container could sign"},
		"algorithm none":       {[]policy.BundleKey{{ID: "a", Key: public, Algorithm: "none"}}, false, good, "want one of ES256"},
		"a private key":        {[]policy.BundleKey{{ID: "a", Key: private, Algorithm: "ES256"}}, false, good, "a private key stays"},
		"no PEM":               {[]policy.BundleKey{{ID: "a", Key: "x", Algorithm: "ES256"}}, false, good, "want a public key"},
		"no id":                {[]policy.BundleKey{{Key: public, Algorithm: "ES256"}}, false, good, "want an id that no other"},
		"neither key nor file": {[]policy.BundleKey{{ID: "a", Algorithm: "ES256"}}, false, good, "want a public key"},
		"a file that is gone":  {[]policy.BundleKey{{ID: "a", Key: "/nowhere/key", Algorithm: "ES256"}}, false, good, "no such file"},
	} {
		_, _, err := loaded(t, Sources{Require: !test.optional, Keys: test.keys}, test.text)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: the error shows a key: %v", name, err)
		}
	}
}

// unpacked8 returns the files of a bundle.
func unpacked8(t *testing.T, text []byte) map[string]string {
	t.Helper()
	archive, err := Sources{}.unpack(text)
	must(t, err)
	files := map[string]string{}
	for name, text := range archive {
		files[name] = string(text)
	}
	return files
}

func pairs(files map[string]string) []string {
	var list []string
	for name, text := range files {
		if text != "" {
			list = append(list, name, text)
		}
	}
	return list
}

// Whatever is in the file, it is refused with a sentence, and soon.
func TestHostileBundles(t *testing.T) {
	t.Parallel()
	var link bytes.Buffer
	zip := gzip.NewWriter(&link)
	archive := tar.NewWriter(zip)
	must(t, archive.WriteHeader(&tar.Header{Name: "x.rego", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}))
	must(t, archive.Close())
	must(t, zip.Close())
	many := []string{}
	for range mostFiles + 1 {
		many = append(many, strconv.Itoa(len(many)), "")
	}
	good := tarball(t, "site.rego", siteRule)
	for name, test := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":         {nil, "EOF"},
		"no archive":      {[]byte("<html>Not found</html>"), "gzip: invalid header"},
		"cut off":         {good[:len(good)-20], "unexpected EOF"},
		"too large":       {bytes.Repeat([]byte("x"), 1<<16+1), "is too large"},
		"a bomb":          {tarball(t, "a.rego", strings.Repeat(" ", 11<<16)), "bytes"},
		"bombs":           {tarball(t, "a", strings.Repeat(" ", 4<<16), "b", strings.Repeat(" ", 4<<16), "c", strings.Repeat(" ", 4<<16)), "more than 655360 bytes"},
		"a link":          {link.Bytes(), "x.rego is a link or a device"},
		"outside":         {tarball(t, "../../x.rego", "package a", "x.rego", "package b"), "x.rego is there twice"},
		"a file twice":    {tarball(t, "x.rego", siteRule, "x.rego", siteRule), "x.rego is there twice"},
		"a delta":         {tarball(t, "patch.json", `{"data": [{"op": "upsert", "path": "/settings", "value": {}}]}`), "it is a delta bundle"},
		"other data":      {tarball(t, "data.json", `{"users": {}}`), "data.json has data, and rules"},
		"two settings":    {tarball(t, "data.json", `{"settings": {}}`, rego.SettingsFile, "settings: {}"), "settings both in"},
		"data below":      {tarball(t, "users/data.json", `{"settings": {}}`), "users/data.json has data"},
		"no manifest":     {tarball(t, ".manifest", "7"), ".manifest: "},
		"long revision":   {tarball(t, ".manifest", `{"revision": "`+strings.Repeat("x", 1000)+`"}`), "more than 200 bytes"},
		"binary manifest": {tarball(t, ".manifest.pb", "x"), "its manifest is binary"},
		"no Rego":         {tarball(t, "x.rego", "}{"), "unexpected } token"},
	} {
		_, _, err := loaded(t, Sources{MaxBytes: 1 << 16}, test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := (Sources{MaxBytes: 1 << 20}).unpack(tarball(t, many...)); err == nil || !strings.Contains(err.Error(), "more than 2000 files") {
		t.Errorf("many files: %v", err)
	}
}

// A URL that cannot be used is refused, and what may be secret in it is never shown.
func TestSourcesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"https://user:hunter2@policy.example.com/b.tar.gz": "give it in bundles.services",
		"https://user:hunter2%zz@policy.example.com/b":     "it is not a URL",
		"https://policy.example.com":                       "want a host and a path",
		"ftp://policy.example.com/b":                       `"ftp" is none of https, oci, file, http`,
		"file://bundle.tar.gz":                             "want a path that begins with a slash",
		"https://policy.example.com/b?sig=hunter2":         "there is no copy of it in state_dir yet",
	} {
		_, err := rego.Load(Sources{Policy: []string{source}, StateDir: t.TempDir()}.Layers(), rego.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
}

// A copy comes into force as a whole, and is verified whenever it is read.
func TestCopies(t *testing.T) {
	t.Parallel()
	private, public := keyPair(t, "ES256")
	const source = "https://policy.example.com/b.tar.gz"
	s := Sources{
		Policy: []string{source}, StateDir: filepath.Join(t.TempDir(), "state"),
		Keys: []policy.BundleKey{{ID: "fleet", Key: public, Algorithm: "ES256"}}, Require: true,
	}
	load := func(s Sources) (policy.Bundle, error) {
		e, err := rego.Load(s.Layers(), rego.Options{})
		if err != nil {
			return policy.Bundle{}, err
		}
		return e.Status().Bundles[0], nil
	}
	fetched := func(revision string) Fetched {
		text := signed(t, tarball(t, ".manifest", strings.Replace(manifest7, `"7"`, `"`+revision+`"`, 1), "site.rego", siteRule), private, "ES256", "", "")
		return Fetched{ETag: `"` + revision + `"`, Text: text}
	}
	first, next := fetched("1"), s
	next.Instead = map[string]Fetched{source: first}
	b, err := load(next)
	must(t, err)
	if b, err := load(s); err == nil {
		t.Errorf("a bundle that is not in force is used: %+v", b)
	}
	now := time.Now().UTC().Truncate(time.Second)
	first.Bundle = b
	must(t, Activate(s.StateDir, source, first, now))
	if b, err := load(s); err != nil || b.Revision != "1" || !b.Activated.Equal(now) {
		t.Errorf("the copy in force is %+v, %v", b, err)
	}
	second := fetched("2")
	second.Bundle = b
	if err := Activate(s.StateDir, source, second, now); err == nil || !strings.Contains(err.Error(), "not the one that was verified") {
		t.Errorf("another bundle than the verified one: %v", err)
	}
	file := s.Places()[0]
	text, err := os.ReadFile(file)
	must(t, err)
	for name, damage := range map[string][]byte{
		"another header": append([]byte(`{"revision": "9"}`), text[bytes.IndexByte(text, '\n'):]...), // what the bundle says counts
		"cut off":        text[:len(text)-30],
		"no header":      text[1:],
		"unsigned":       append([]byte("{}\n"), tarball(t, "site.rego", siteRule)...),
		"empty":          nil,
	} {
		must(t, os.WriteFile(file, damage, 0o644))
		if b, err := load(s); name == "another header" && b.Revision != "1" || name != "another header" && err == nil {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
	must(t, os.WriteFile(file, text, 0o644))
	must(t, os.Chmod(file, 0o666))
	if _, err := load(s); len(rego.Untrusted(err)) == 0 {
		t.Errorf("a copy that everybody can write: %v", err)
	}
}

// A bundle on trial leaves the one before, until something else is in force.
func TestRollBack(t *testing.T) {
	t.Parallel()
	const source = "https://policy.example.com/b.tar.gz"
	dir, now := filepath.Join(t.TempDir(), "state"), time.Unix(1000, 0).UTC()
	activate := func(revision string, trial time.Time) string {
		text := []byte("text " + revision)
		info := policy.Bundle{Revision: revision, Digest: policy.Digest(text), OnTrial: trial}
		must(t, Activate(dir, source, Fetched{Bundle: info, ETag: revision, Up: []string{"coder"}, Text: text}, now))
		return policy.Digest(text)
	}
	inForce := func(want string) Fetched {
		t.Helper()
		c, err := ReadCopy(dir, source, InForce)
		if err != nil || c.Revision != want || string(c.Text) != "text "+want || c.ETag != want {
			t.Errorf("in force is %+v, %v, want %s", c, err, want)
		}
		return c
	}
	first := activate("1", time.Time{})
	if _, err := RollBack(dir, source, first, "x", now); err == nil {
		t.Error("the first one was rolled back, and nothing was before")
	}
	second := activate("2", now.Add(time.Minute))
	if c := inForce("2"); len(c.Up) != 1 || c.Up[0] != "coder" {
		t.Errorf("up was %q", c.Up)
	}
	third := activate("3", now.Add(time.Minute)) // 2 is on trial still, and nobody knows whether it is good
	if _, err := RollBack(dir, source, second, "x", now); err == nil || !strings.Contains(err.Error(), "another revision is in force by now") {
		t.Errorf("not in force: %v", err)
	}
	b, err := RollBack(dir, source, third, "harm", now)
	must(t, err)
	back := inForce("1").RolledBack
	if want := (policy.RolledBack{Revision: "3", Digest: third, Reason: "harm", At: now}); back == nil || *back != want || b.RolledBack == nil || !b.OnTrial.IsZero() {
		t.Errorf("%+v, want %+v, and returned %+v", back, want, b)
	}
	activate("4", time.Time{})
	if inForce("4").RolledBack != nil {
		t.Error("a newer one is in force, and the one rolled back is remembered")
	}
}

func TestManifestRollouts(t *testing.T) {
	t.Parallel()
	for metadata, want := range map[string]string{
		`{"rollout": {"steps": [{"percent": 5}, {"label": "wave=a", "after": "30m"}], "soak": "10m"}}`: "",
		`{"rollout": {"step": []}}`:                `metadata.rollout: json: unknown field "step"`,
		`{"rollout": {"soak": "soon"}}`:            `metadata.rollout: soak is "soon", want a duration`,
		`{"rollout": {"steps": [{"percent": 0}]}}`: "metadata.rollout: step 1: want a percent or a label",
		`{"rollout": 5}`:                           "metadata.rollout: json: cannot unmarshal",
	} {
		text := tarball(t, ".manifest", `{"revision": "1", "roots": ["reconcile"], "metadata": `+metadata+`}`, "site.rego", siteRule)
		file := filepath.Join(t.TempDir(), "b.tar.gz")
		must(t, os.WriteFile(file, text, 0o644))
		e, err := rego.Load(Sources{Policy: []string{"file://" + file}}.Layers(), rego.Options{})
		if err == nil {
			if r := e.Status().Bundles[0].Rollout; r == nil || len(r.Steps) != 2 || r.Soak != "10m" || r.Steps[1].After != "30m" {
				t.Errorf("%s: %+v", metadata, r)
			}
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", metadata, err, want)
		}
	}
}

// The header of a copy names no secret of a URL.
func TestCopiesShowNoSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const source = "https://policy.example.com/b.tar.gz?sig=hunter2"
	must(t, os.Chmod(dir, 0o755))
	must(t, Activate(dir, source, Fetched{Bundle: policy.Bundle{Source: source, Digest: policy.Digest([]byte("x"))}, Text: []byte("x")}, time.Now()))
	c, err := ReadCopy(dir, source, InForce)
	must(t, err)
	if text, _ := json.Marshal(c); strings.Contains(string(text), "hunter2") || c.Source != "https://policy.example.com/b.tar.gz?(hidden)" {
		t.Errorf("the header is %s", text)
	}
}
