package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"hermes-reconcile/policy"
)

// Push puts a bundle into a registry, as the image oci://registry/repository:tag, and returns
// the digest of the image. A tag that exists moves. Errors are as those of Get.
func (c *Client) Push(ctx context.Context, source string, bundle []byte) (digest string, err error) {
	s := &session{Client: c}
	base, tag, digest, err := s.locate(strings.TrimPrefix(source, "oci://"))
	if err != nil {
		return "", err
	}
	if digest != "" {
		return "", errors.New("a push makes the digest, want oci://registry/repository:tag")
	}
	image := map[string]any{"schemaVersion": 2, "mediaType": manifestType}
	if image["config"], err = s.upload(ctx, base, "application/vnd.oci.image.config.v1+json", []byte("{}")); err != nil {
		return "", plain(ctx, err)
	}
	layer, err := s.upload(ctx, base, "application/vnd.oci.image.layer.v1."+layerSuffix, bundle)
	if err != nil {
		return "", plain(ctx, err)
	}
	image["layers"] = []any{layer}
	manifest, err := json.Marshal(image)
	if err == nil {
		_, err = s.change(ctx, http.MethodPut, base+"manifests/"+tag, manifestType, manifest)
	}
	return policy.Digest(manifest), plain(ctx, err)
}

// upload puts a blob into a repository, and returns what a manifest says of it.
func (s *session) upload(ctx context.Context, base, mediaType string, blob []byte) (map[string]any, error) {
	begun, err := s.change(ctx, http.MethodPost, base+"blobs/uploads/", "", nil)
	if err != nil {
		return nil, err
	}
	to, err := begun.Location()
	if err != nil {
		return nil, err
	}
	query := to.Query()
	query.Set("digest", policy.Digest(blob))
	to.RawQuery = query.Encode()
	_, err = s.change(ctx, http.MethodPut, to.String(), "application/octet-stream", blob)
	return map[string]any{"mediaType": mediaType, "digest": policy.Digest(blob), "size": len(blob)}, err
}

// change changes something in a registry.
func (s *session) change(ctx context.Context, method, where, mediaType string, body []byte) (*http.Response, error) {
	answer, err := s.do(ctx, method, where, http.Header{"Content-Type": {mediaType}}, body)
	if err != nil {
		return nil, err
	}
	answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return nil, refusal(answer)
	}
	return answer, nil
}
