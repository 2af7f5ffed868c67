package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"hermes-reconcile/policy"
)

var (
	reference = policy.Pattern(`^([^/]+)/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(\w[\w.-]*)|@(sha256:[0-9a-f]+))?$`)
	digest    = policy.Pattern(`^sha256:[0-9a-f]{64}$`)
	parameter = policy.Pattern(`(\w+)="([^"]*)"`)
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	layerSuffix  = "tar+gzip" // of the media type of a bundle
)

// locate returns the URL of a repository, and the tag and the digest of an image in it.
func (s *session) locate(name string) (base, tag, pinned string, err error) {
	parts := reference().FindStringSubmatch(name)
	if parts == nil {
		return "", "", "", errors.New("want oci://registry/repository:tag")
	}
	s.registry = parts[1]
	return fmt.Sprintf("%s://%s/v2/%s/", s.scheme(), s.registry, parts[2]), cmp.Or(parts[3], "latest"), parts[4], nil
}

// image fetches the bundle of an image, as OPA pushes it: its first layer that is a gzipped
// tar archive. The ETag is the digest of the manifest.
func (s *session) image(ctx context.Context, name, etag string) (Result, error) {
	base, tag, pinned, err := s.locate(name)
	if err != nil {
		return Result{}, err
	}
	text, err := s.object(ctx, base+"manifests/"+cmp.Or(pinned, tag), pinned, maxMeta)
	if err != nil {
		return Result{}, fmt.Errorf("the manifest: %w", withoutURL(err))
	}
	r := Result{ETag: policy.Digest(text)}
	if r.ETag == etag {
		return r, nil
	}
	var manifest struct {
		Layers []struct{ MediaType, Digest string }
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return Result{}, fmt.Errorf("the manifest: %w", err)
	}
	for _, layer := range manifest.Layers {
		if strings.HasSuffix(layer.MediaType, layerSuffix) && digest().MatchString(layer.Digest) {
			r.Text, err = s.object(ctx, base+"blobs/"+layer.Digest, layer.Digest, s.MaxBytes)
			return r, err
		}
	}
	return Result{}, errors.New("the manifest has no layer that is a bundle; push one as OPA does, with oras or policy push")
}

// scheme is that of the service of the registry. A registry on this machine needs none.
func (s *session) scheme() string {
	for _, service := range s.Services {
		if u, err := url.Parse(service.URL); err == nil && u.Host == s.registry {
			return u.Scheme
		}
	}
	if u, err := url.Parse("//" + s.registry); err == nil && isHere(u.Hostname()) {
		return "http"
	}
	return "https"
}

// object fetches an object of a registry. With want it has that digest.
func (s *session) object(ctx context.Context, source, want string, most int64) ([]byte, error) {
	header := http.Header{"Accept": {manifestType, "application/vnd.docker.distribution.manifest.v2+json", "*/*"}}
	answer, err := s.do(ctx, http.MethodGet, source, header, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := readAll(answer, most)
	if err == nil && want != "" && policy.Digest(text) != want {
		err = fmt.Errorf("its digest is %s, want %s", policy.Digest(text), want)
	}
	return text, err
}

// authorize gets the token that a registry asks for. The server of tokens gets the
// credentials of its own service.
func (s *session) authorize(ctx context.Context, challenge string) error {
	kind, rest, _ := strings.Cut(challenge, " ")
	if !strings.EqualFold(kind, "Bearer") {
		return nil
	}
	query := url.Values{}
	var realm *url.URL
	for _, p := range parameter().FindAllStringSubmatch(rest, -1) {
		switch p[1] {
		case "realm":
			realm, _ = url.Parse(p[2])
		case "service", "scope":
			query.Set(p[1], p[2])
		}
	}
	if realm == nil || realm.Scheme != "https" && !isHere(realm.Hostname()) {
		return errors.New("the registry names no server of tokens with https")
	}
	realm.RawQuery = query.Encode()
	text, err := s.object(ctx, realm.String(), "", maxMeta)
	if err != nil {
		return fmt.Errorf("the server of tokens: %w", withoutURL(err))
	}
	var got struct {
		Token  string `json:"token"`
		Access string `json:"access_token"`
	}
	_ = json.Unmarshal(text, &got)
	if s.token = cmp.Or(got.Token, got.Access); s.token == "" {
		return errors.New("the server of tokens gives none")
	}
	return nil
}
