package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// secretFile writes a file that only its owner can read.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	file := filepath.Join(dir, "secret")
	must(t, os.WriteFile(file, []byte(text+"\n"), 0o600))
	return file
}

// authority writes the certificate of a server.
func authority(t *testing.T, s *httptest.Server) string {
	t.Helper()
	return secretFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
}

// A file that did not change is not sent again, and a server that can wait is asked to.
func TestETagAndLongPoll(t *testing.T) {
	t.Parallel()
	var prefer []string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prefer = append(prefer, r.Header.Get("Prefer"))
		w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles")
		w.Header().Set("ETag", `"7"`)
		if r.Header.Get("If-None-Match") == `"7"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, "bundle")
	}))
	defer s.Close()
	c := Client{MaxBytes: 1 << 20, Services: []Service{{URL: s.URL, CA: authority(t, s)}}}
	first, err := c.Get(t.Context(), s.URL+"/b", "", 0)
	if err != nil || string(first.Text) != "bundle" || first.ETag != `"7"` || !first.LongPoll {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := c.Get(t.Context(), s.URL+"/b", first.ETag, 30*time.Second)
	if err != nil || again.Text != nil || again.ETag != `"7"` {
		t.Errorf("not modified: %+v, %v", again, err)
	}
	if want := []string{"modes=snapshot", "modes=snapshot;wait=30"}; fmt.Sprint(prefer) != fmt.Sprint(want) {
		t.Errorf("Prefer: %q, want %q", prefer, want)
	}
}

// Only requests to URLs below that of a service get its credentials, also after redirects.
func TestCredentialsStayWithTheirURL(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	note := func(w http.ResponseWriter, r *http.Request) {
		seen[r.Host+r.URL.Path] = r.Header.Get("Authorization") + r.Header.Get("Referer")
		fmt.Fprint(w, "bundle")
	}
	other := httptest.NewServer(http.HandlerFunc(note))
	defer other.Close()
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a/away":
			http.Redirect(w, r, other.URL+"/b?x=1", http.StatusFound)
		case "/a/near":
			http.Redirect(w, r, "/b", http.StatusFound)
		default:
			note(w, r)
		}
	}))
	defer here.Close()
	c := Client{MaxBytes: 100, Services: []Service{
		{URL: here.URL + "/a", Token: secretFile(t, "hunter2")},
		{URL: here.URL + "/a/b/", Username: "me", Password: secretFile(t, "pass")},
	}}
	for _, path := range []string{"/a/away?sig=1", "/a/near", "/a/c", "/a/b/c", "/ab", "/a/../c"} {
		if _, err := c.Get(t.Context(), here.URL+path, "", 0); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	host := strings.TrimPrefix(here.URL, "http://")
	for where, want := range map[string]string{
		strings.TrimPrefix(other.URL, "http://") + "/b": "", host + "/b": "", host + "/ab": "", host + "/a/../c": "",
		host + "/a/c": "Bearer hunter2", host + "/a/b/c": "Basic bWU6cGFzcw==",
	} {
		if got, asked := seen[where]; got != want || !asked {
			t.Errorf("%s got %q (asked: %t), want %q", where, got, asked, want)
		}
	}
}

// What goes wrong is said in a sentence, without a secret, and in time.
func TestServersThatFail(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "abc")
		case "/large":
			w.Header().Set("Content-Length", "1000000000")
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		case "/slow":
			for r.Context().Err() == nil {
				fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		case "/silent":
			<-r.Context().Done()
		case "/empty":
		case "/http":
			http.Redirect(w, r, "http://policy.invalid/b", http.StatusFound)
		case "/circle":
			http.Redirect(w, r, "/circle?sig=hunter2", http.StatusFound)
		case "/304":
			w.WriteHeader(http.StatusNotModified)
		case "/500", "/401":
			code := 500
			if r.URL.Path == "/401" {
				code = 401
			}
			w.WriteHeader(code)
			fmt.Fprint(w, "\x1b[31mowned")
		}
	}))
	defer s.Close()
	known := Client{MaxBytes: 1 << 20, Services: []Service{{URL: s.URL, CA: authority(t, s)}}}
	for path, want := range map[string]string{
		"/cut": "ended early, after 3 bytes", "/large": "more than 1048576 bytes, see bundles.max_bytes", "/endless": "more than 1048576 bytes",
		"/slow": "not done in time", "/silent": "not done in time", "/empty": "sent nothing", "/http": "a redirect from https to http",
		"/circle": "more than 5 redirects", "/304": "answers 304", "/500": "answers 500 Internal Server Error", "/401": "bundles.services has the credentials",
	} {
		ctx, cancel := t.Context(), func() {}
		if want == "not done in time" {
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		}
		_, err := known.Get(ctx, s.URL+path+"?sig=hunter2", "", 0)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "owned") {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	unknown := Client{MaxBytes: 1 << 20}
	if _, err := unknown.Get(t.Context(), s.URL+"/b", "", 0); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	if _, err := unknown.Get(t.Context(), "http://policy.invalid/b", "", 0); err == nil || !strings.Contains(err.Error(), "over plain http") {
		t.Errorf("plain http: %v", err)
	}
	plain := Client{MaxBytes: 1 << 20, HTTP: true, Services: []Service{{URL: "http://policy.invalid/", Token: secretFile(t, "hunter2")}}}
	if _, err := plain.Get(t.Context(), "http://policy.invalid/b", "", 0); err == nil || !strings.Contains(err.Error(), "no credentials are sent") {
		t.Errorf("credentials over plain http: %v", err)
	}
}

// A service that cannot be used is refused, and its secret is not shown.
func TestServicesThatCannotBeUsed(t *testing.T) {
	t.Setenv("HUNTER", "")
	open := secretFile(t, "hunter2")
	must(t, os.Chmod(open, 0o644))
	const u = "https://policy.example.com/"
	for want, service := range map[string]Service{
		"a secret itself stands":               {URL: u, Token: "hunter2"},
		"can be read by others than its owner": {URL: u, Token: open},
		"no such file":                         {URL: u, Username: "me", Password: "/nowhere/password"},
		"the variable HUNTER is empty":         {URL: u, Token: "$HUNTER"},
		"has no certificate":                   {URL: u, CA: secretFile(t, "x")},
		"failed to find any PEM data":          {URL: u, ClientCert: secretFile(t, "x"), ClientKey: secretFile(t, "hunter2")},
	} {
		c := Client{MaxBytes: 100, Services: []Service{service}}
		if _, err := c.Get(t.Context(), u+"b", "", 0); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v, want %q", service, err, want)
		}
	}
}

// An image gives the layer that is a bundle, from registries with and without a server of tokens.
func TestRegistry(t *testing.T) {
	t.Parallel()
	layer, wrong := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("bundle"))), fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("other")))
	manifest := func(digest string) string {
		return `{"layers": [{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "` + wrong + `"},
			{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "` + digest + `"}]}`
	}
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if user, password, _ := r.BasicAuth(); user != "me" || password != "hunter2" || r.FormValue("scope") != "pull" {
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			fmt.Fprint(w, `{"token": "short"}`)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/v2/closed/") && r.Header.Get("Authorization") != "Bearer short" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token",service="x",scope="pull"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch path := strings.TrimPrefix(r.URL.Path, "/v2/"); path {
		case "open/manifests/latest", "closed/manifests/1":
			fmt.Fprint(w, manifest(layer))
		case "open/manifests/wrong":
			fmt.Fprint(w, manifest(wrong))
		case "open/manifests/none":
			fmt.Fprint(w, `{"layers": []}`)
		case "open/blobs/" + layer, "open/blobs/" + wrong, "closed/blobs/" + layer:
			fmt.Fprint(w, "bundle")
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	with := Client{MaxBytes: 100, Services: []Service{{URL: s.URL, Username: "me", Password: secretFile(t, "hunter2")}}}
	without := Client{MaxBytes: 100}
	for name, test := range map[string]struct {
		client Client
		image  string
		want   string // "": the bundle
	}{
		"open":            {without, "/open", ""},
		"open, with user": {with, "/open:latest", ""},
		"closed":          {with, "/closed:1", ""},
		"no credentials":  {without, "/closed:1", "the server of tokens: the server answers 401"},
		"another digest":  {without, "/open:wrong", "its digest is " + layer},
		"no bundle":       {without, "/open:none", "has no layer that is a bundle"},
		"no image":        {without, "/open:gone", "answers 404"},
		"pinned":          {without, "/open@" + wrong, "answers 404"},
		"no reference":    {without, "/../open:x", "want oci://registry/repository:tag"},
	} {
		r, err := test.client.Get(t.Context(), "oci://"+host+test.image, "", 0)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || err == nil && string(r.Text) != "bundle" {
			t.Errorf("%s: %+v, %v, want %q", name, r, err, test.want)
			continue
		}
		if err != nil {
			continue
		}
		if again, err := test.client.Get(t.Context(), "oci://"+host+test.image, r.ETag, 0); err != nil || again.Text != nil {
			t.Errorf("%s, not modified: %+v, %v", name, again, err)
		}
	}
}
