package fetch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// aMachine is the metadata server of a machine in a cloud, as the clouds document it.
func aMachine(t *testing.T) string {
	t.Helper()
	const roles = "/latest/meta-data/iam/security-credentials/"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch where := r.Method + " " + r.URL.Path; {
		case where == "PUT /latest/api/token" && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
			fmt.Fprint(w, "session")
		case where == "GET "+roles && r.Header.Get("X-aws-ec2-metadata-token") == "session":
			fmt.Fprintln(w, "bots")
		case where == "GET "+roles+"bots" && r.Header.Get("X-aws-ec2-metadata-token") == "session":
			fmt.Fprint(w, `{"AccessKeyId": "AKROLE", "SecretAccessKey": "hunter2", "Token": "of the role"}`)
		case where == "GET /computeMetadata/v1/instance/service-accounts/default/token" && r.Header.Get("Metadata-Flavor") == "Google":
			fmt.Fprint(w, `{"access_token": "google's", "token_type": "Bearer"}`)
		case where == "GET /metadata/identity/oauth2/token" && r.Header.Get("Metadata") == "true" && r.FormValue("resource") == "https://storage.azure.com/":
			fmt.Fprint(w, `{"access_token": "azure's"}`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// signature signs a GET without a body as the page "Signature Version 4" of AWS says.
func signature(r *http.Request, secret, region string) string {
	sum := func(text string) string { s := sha256.Sum256([]byte(text)); return hex.EncodeToString(s[:]) }
	mac := func(key, text string) string {
		m := hmac.New(sha256.New, []byte(key))
		m.Write([]byte(text))
		return string(m.Sum(nil))
	}
	_, names, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	names, _, _ = strings.Cut(names, ",")
	headers := ""
	for name := range strings.SplitSeq(names, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		headers += name + ":" + value + "\n"
	}
	date := r.Header.Get("X-Amz-Date")
	scope := date[:8] + "/" + region + "/s3/aws4_request"
	request := strings.Join([]string{"GET", r.URL.EscapedPath(), r.URL.RawQuery, headers, names, sum("")}, "\n")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, sum(request)}, "\n")
	return hex.EncodeToString([]byte(mac(mac(mac(mac(mac("AWS4"+secret, date[:8]), region), "s3"), "aws4_request"), text)))
}

// The object stores of clouds get what they want of a machine of theirs, and of nobody else.
func TestClouds(t *testing.T) {
	machine := aMachine(t)
	var want func(*http.Request) bool
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !want(r) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, "bundle")
	}))
	defer store.Close()
	signed := func(key, secret, region, token string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			a := r.Header.Get("Authorization")
			return strings.HasPrefix(a, "AWS4-HMAC-SHA256 Credential="+key+"/") && r.Header.Get("X-Amz-Security-Token") == token &&
				strings.HasSuffix(a, "Signature="+signature(r, secret, region))
		}
	}
	bearer := func(token string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+token }
	}
	for _, test := range []struct {
		name, machine string
		service       Service
		variables     map[string]string
		want          func(*http.Request) bool
		err           string
	}{
		{"gcs", machine, Service{Cloud: google}, nil, bearer("google's"), ""},
		{"azure", machine, Service{Cloud: azure}, nil, func(r *http.Request) bool { return bearer("azure's")(r) && r.Header.Get("X-Ms-Version") != "" }, ""},
		{"s3 of a role", machine, Service{Cloud: amazon, Region: "eu-central-2"}, nil, signed("AKROLE", "hunter2", "eu-central-2", "of the role"), ""},
		{"s3 of variables", "", Service{Cloud: amazon}, map[string]string{"AWS_ACCESS_KEY_ID": "AKVAR", "AWS_SECRET_ACCESS_KEY": "hunter3", "AWS_REGION": "us-west-2"}, signed("AKVAR", "hunter3", "us-west-2", ""), ""},
		{"another secret", machine, Service{Cloud: amazon, Region: "eu-central-2"}, nil, signed("AKROLE", "hunter3", "eu-central-2", "of the role"), "the server answers 403"},
		{"no region", machine, Service{Cloud: amazon}, nil, nil, "want the region of the bucket"},
		{"no machine of a cloud", store.URL, Service{Cloud: google}, nil, func(*http.Request) bool { return false }, "this machine has no account of gcs: its metadata server answers 403"},
		{"no role", store.URL, Service{Cloud: amazon, Region: "x"}, nil, func(*http.Request) bool { return false }, "AWS_ACCESS_KEY_ID is not set, and this machine has no role"},
		{"no cloud", machine, Service{Cloud: "s4"}, nil, nil, `cloud is "s4", want s3, gcs or azure`},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"} {
				t.Setenv(name, test.variables[name])
			}
			want = test.want
			test.service.URL = store.URL + "/bucket/"
			c := Client{MaxBytes: 100, Services: []Service{test.service}, metadataServer: test.machine}
			got, err := c.Get(t.Context(), store.URL+"/bucket/prod.tar.gz?versionId=7", "", 0)
			if test.err == "" && (err != nil || string(got.Text) != "bundle") {
				t.Errorf("%q, %v", got.Text, err)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "hunter")) {
				t.Errorf("%v, want %q", err, test.err)
			}
		})
	}
}

// Nothing but a fetch gets what a machine of a cloud has.
func TestCloudsAreForFetching(t *testing.T) {
	c := Client{Services: []Service{{URL: "https://store.example.com/", Cloud: google}}, metadataServer: aMachine(t)}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://store.example.com/logs", strings.NewReader("{}"))
	must(t, err)
	if answer, err := c.Transport().RoundTrip(r); err == nil || !strings.Contains(err.Error(), "cloud is for fetching bundles only") || r.Header.Get("Authorization") != "" {
		t.Errorf("%v, %v", answer, err)
	}
}
