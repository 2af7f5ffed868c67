package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"hermes-reconcile/policy/trust"
)

// A Service says how this program and the servers of a URL prove to each other who they are.
// Only requests to URLs below its own get its credentials.
type Service struct {
	URL string `config:"url"`
	// Token and Password are where the secret is: the path of a file, or $NAME for a variable.
	Token      string `config:"token"` // a bearer token
	Username   string `config:"username"`
	Password   string `config:"password"`
	ClientCert string `config:"client_cert"` // files with PEM
	ClientKey  string `config:"client_key"`
	CA         string `config:"ca"` // believed instead of the authorities of the system
	// Cloud is s3, gcs or azure: the credentials are those that the machine has there.
	Cloud  string `config:"cloud"`
	Region string `config:"region"` // of an s3 bucket; empty: that of AWS_REGION
}

// A session is one Get. It adds credentials to requests, also after a redirect.
type session struct {
	*Client
	registry string // gets the token
	token    string
	asked    bool // for a token
}

// Transport adds the credentials of the services to the requests of others.
func (c *Client) Transport() http.RoundTripper { return &session{Client: c} }

// RoundTrip adds the credentials for the URL of a request, and no others.
func (s *session) RoundTrip(r *http.Request) (*http.Response, error) {
	service := s.of(r.URL)
	far := r.URL.Scheme == "http" && !isHere(r.URL.Hostname())
	switch {
	case far && !s.HTTP:
		return nil, fmt.Errorf("over plain http anybody on the way to %s can read and change what is sent; use https, or set bundles.http", r.URL.Host)
	case far && service.Token+service.Password+service.Cloud != "":
		return nil, fmt.Errorf("no credentials are sent to %s over plain http", r.URL.Host)
	}
	r = r.Clone(r.Context())
	r.Header.Del("Referer") // it may have the query of the URL before
	security, err := service.prove(r)
	if err == nil {
		err = s.proveToCloud(service, r)
	}
	if err != nil {
		return nil, fmt.Errorf("bundles.services, %s: %w", r.URL.Host, err)
	}
	if s.token != "" && r.URL.Host == s.registry {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: security, ForceAttemptHTTP2: true, DisableCompression: true, DisableKeepAlives: true,
		MaxResponseHeaderBytes: maxMeta,
	}
	return transport.RoundTrip(r)
}

// of returns the service with the longest URL above a URL. The zero service has no secrets.
func (c *Client) of(u *url.URL) (best Service) {
	longest := 0
	for _, service := range c.Services {
		above, err := url.Parse(service.URL)
		if err == nil && above.Scheme == u.Scheme && above.Host == u.Host && strings.HasPrefix(below(u), below(above)) && len(below(above)) > longest {
			best, longest = service, len(below(above))
		}
	}
	return best
}

func below(u *url.URL) string { return strings.TrimSuffix(path.Clean("/"+u.Path), "/") + "/" }

// prove adds the credentials of a service to a request, and returns its certificates. The
// files are read each time, so that they can be renewed. Errors do not show what is in them.
func (v Service) prove(r *http.Request) (*tls.Config, error) {
	security := &tls.Config{MinVersion: tls.VersionTLS12}
	token, err := secret(v.Token)
	password, passwordErr := secret(v.Password)
	key, keyErr := secret(v.ClientKey)
	certificate, certificateErr := trusted(v.ClientCert)
	authorities, authoritiesErr := trusted(v.CA)
	if err := errors.Join(err, passwordErr, keyErr, certificateErr, authoritiesErr); err != nil {
		return nil, err
	}
	switch {
	case v.Username != "":
		r.SetBasicAuth(v.Username, password)
	case token != "":
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if v.CA != "" {
		security.RootCAs = x509.NewCertPool()
		if !security.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s has no certificate as PEM has it", v.CA)
		}
	}
	if v.ClientCert+v.ClientKey != "" {
		pair, err := tls.X509KeyPair(certificate, []byte(key))
		if err != nil {
			return nil, fmt.Errorf("client_cert and client_key: %w", err)
		}
		security.Certificates = []tls.Certificate{pair}
	}
	return security, nil
}

// trusted reads a file that only root or the caller can write; without a name nothing.
func trusted(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	return trust.Read(name, trust.Only(os.Geteuid()), maxMeta)
}

// secret reads a variable, or a file that nobody but its owner can read.
func secret(from string) (string, error) {
	if variable, ok := strings.CutPrefix(from, "$"); ok {
		value := os.Getenv(variable)
		if value == "" {
			return "", fmt.Errorf("the variable %s is empty", variable)
		}
		return value, nil
	}
	if from != "" && !path.IsAbs(from) {
		return "", errors.New("a secret itself stands in the configuration, want the path of a file, or $NAME for a variable")
	}
	text, err := trusted(from)
	if err != nil || from == "" {
		return "", err
	}
	if info, err := os.Stat(from); err != nil || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others than its owner: chmod 600 %[1]s", from)
	}
	return strings.TrimSpace(string(text)), nil
}

// isHere reports whether a host is this machine.
func isHere(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
