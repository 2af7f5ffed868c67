package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hermes-reconcile/policy"
)

// closedRegistry is a registry that wants a token for what is pushed. It sends uploads to the
// URL uploads, and the test gets what it stored.
func closedRegistry(t *testing.T, uploads string) (host string, stored map[string]string) {
	t.Helper()
	stored = map[string]string{}
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/v2/team/policy/")
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/token" && user == "me" && password == "hunter2" && r.FormValue("scope") == "push":
			fmt.Fprint(w, `{"token": "short"}`)
		case r.Header.Get("Authorization") != "Bearer short":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token",service="x",scope="push"`)
			w.WriteHeader(http.StatusUnauthorized)
		case name == "blobs/uploads/":
			w.Header().Set("Location", uploads)
			w.WriteHeader(http.StatusAccepted)
		case r.Method == http.MethodPut:
			if r.FormValue("digest") != "" && r.FormValue("state") == "7" {
				name = "blobs/" + r.FormValue("digest")
			}
			text, _ := io.ReadAll(r.Body)
			stored[name] = string(text)
			w.WriteHeader(http.StatusCreated)
		case stored[name] != "":
			fmt.Fprint(w, stored[name])
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), stored
}

func clientOf(t *testing.T, host string) Client {
	return Client{MaxBytes: 1 << 20, Services: []Service{{URL: "http://" + host + "/", Username: "me", Password: secretFile(t, "hunter2")}}}
}

// What is pushed is what Get fetches.
func TestPushWithAToken(t *testing.T) {
	t.Parallel()
	host, stored := closedRegistry(t, "/v2/team/policy/upload/1?state=7")
	c := clientOf(t, host)
	image, err := c.Push(t.Context(), "oci://"+host+"/team/policy:v1", []byte("bundle"))
	if err != nil {
		t.Fatal(err)
	}
	if got := policy.Digest([]byte(stored["manifests/v1"])); image != got || len(stored) != 3 {
		t.Errorf("the image is %s, want %s; the registry has %q", image, got, stored)
	}
	if r, err := c.Get(t.Context(), "oci://"+host+"/team/policy:v1", "", 0); err != nil || string(r.Text) != "bundle" || r.ETag != image {
		t.Errorf("fetched: %+v, %v", r, err)
	}
}

func TestPushThatFails(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 10)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusForbidden)
	}))
	defer elsewhere.Close()
	away, _ := closedRegistry(t, elsewhere.URL+"/upload?sig=hunter3")
	lost, _ := closedRegistry(t, "")
	for name, test := range map[string]struct {
		host, image, want string
	}{
		"an upload elsewhere": {away, "/team/policy:v1", "the server answers 403 Forbidden; bundles.services has"},
		"no place":            {lost, "/team/policy:v1", "no Location header"},
		"another repository":  {lost, "/other:v1", "the server answers 404"},
		"a digest":            {lost, "/team/policy@sha256:" + strings.Repeat("0", 64), "a push makes the digest"},
		"no image":            {lost, "", "want oci://registry/repository:tag"},
	} {
		c := clientOf(t, test.host)
		_, err := c.Push(t.Context(), "oci://"+test.host+test.image, []byte("bundle"))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	close(seen)
	if got, asked := <-seen; got != "" || !asked {
		t.Errorf("another server gets the credentials %q (asked: %t)", got, asked)
	}
	nobody := Client{MaxBytes: 100}
	if _, err := nobody.Push(t.Context(), "oci://"+lost+"/team/policy:v1", nil); err == nil || !strings.Contains(err.Error(), "the server of tokens: the server answers 401") {
		t.Errorf("without credentials: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	c := clientOf(t, lost)
	if _, err := c.Push(over, "oci://"+lost+"/team/policy:v1", nil); err == nil || !strings.Contains(err.Error(), "not done in time") {
		t.Errorf("too late: %v", err)
	}
}
