package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// The object stores that Service.Cloud names.
const (
	amazon = "s3"
	google = "gcs"
	azure  = "azure"
)

// metadataServers are what a cloud's machines ask for their credentials. They are on the
// machine, so plain http is no risk.
var metadataServers = map[string]string{amazon: "http://169.254.169.254", google: "http://metadata.google.internal", azure: "http://169.254.169.254"}

// metadataTime is how long such a server may take. It is near.
const metadataTime = 5 * time.Second

// proveToCloud signs a request, or adds the token of the machine.
func (s *session) proveToCloud(v Service, r *http.Request) error {
	switch {
	case v.Cloud == "":
		return nil
	case r.Method != http.MethodGet:
		return errors.New("cloud is for fetching bundles only")
	}
	switch v.Cloud {
	case amazon:
		return s.signForAmazon(v, r)
	case google:
		return s.addToken(r, google, "/computeMetadata/v1/instance/service-accounts/default/token", http.Header{"Metadata-Flavor": {"Google"}})
	case azure:
		r.Header.Set("x-ms-version", "2020-04-08") // the first one that takes such tokens for all
		return s.addToken(r, azure, "/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+url.QueryEscape("https://storage.azure.com/"), http.Header{"Metadata": {"true"}})
	}
	return fmt.Errorf("cloud is %q, want s3, gcs or azure", v.Cloud)
}

// addToken adds the token that the machine's account has.
func (s *session) addToken(r *http.Request, cloud, path string, header http.Header) error {
	var answer struct {
		Token string `json:"access_token"`
	}
	text, err := s.metadata(r.Context(), cloud, http.MethodGet, path, header)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil || answer.Token == "" {
		return fmt.Errorf("this machine has no account of %s: %w", cloud, cmp.Or(err, errors.New("it gives no token")))
	}
	r.Header.Set("Authorization", "Bearer "+answer.Token)
	return nil
}

// amazonKeys are the credentials of a machine, as its metadata server has them.
type amazonKeys struct {
	Access string `json:"AccessKeyId"`
	Secret string `json:"SecretAccessKey"`
	Token  string `json:"Token"`
}

// signForAmazon signs a request as Signature Version 4 has it. OPA's function for rules does it.
func (s *session) signForAmazon(v Service, r *http.Request) error {
	keys := amazonKeys{Access: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY"), Token: os.Getenv("AWS_SESSION_TOKEN")}
	if keys.Access == "" {
		var err error
		if keys, err = s.amazonKeys(r.Context()); err != nil {
			return fmt.Errorf("AWS_ACCESS_KEY_ID is not set, and this machine has no role: %w", err)
		}
	}
	region := cmp.Or(v.Region, os.Getenv("AWS_REGION"))
	if region == "" {
		return errors.New("want the region of the bucket: region, or the variable AWS_REGION")
	}
	object := func(pairs ...string) *ast.Term {
		o := ast.NewObject()
		for i := 0; i < len(pairs); i += 2 {
			o.Insert(ast.StringTerm(pairs[i]), ast.StringTerm(pairs[i+1]))
		}
		return ast.NewTerm(o)
	}
	account := object("aws_service", "s3", "aws_region", region, "aws_access_key", keys.Access, "aws_secret_access_key", keys.Secret)
	if keys.Token != "" {
		account.Value.(ast.Object).Insert(ast.StringTerm("aws_session_token"), ast.StringTerm(keys.Token))
	}
	now := ast.NumberTerm(json.Number(strconv.FormatInt(time.Now().UnixNano(), 10)))
	sign := topdown.GetBuiltin(ast.ProvidersAWSSignReqObj.Name)
	return sign(topdown.BuiltinContext{Context: r.Context()}, []*ast.Term{object("method", r.Method, "url", r.URL.String()), account, now}, func(signed *ast.Term) error {
		return signed.Value.(ast.Object).Get(ast.StringTerm("headers")).Value.(ast.Object).Iter(func(name, value *ast.Term) error {
			if text := string(value.Value.(ast.String)); !strings.EqualFold(string(name.Value.(ast.String)), "host") {
				r.Header.Set(string(name.Value.(ast.String)), text)
			}
			return nil
		})
	})
}

// amazonKeys asks for the credentials of the role that the machine has.
func (s *session) amazonKeys(ctx context.Context) (keys amazonKeys, err error) {
	const roles = "/latest/meta-data/iam/security-credentials/"
	token, err := s.metadata(ctx, amazon, http.MethodPut, "/latest/api/token", http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}})
	if err != nil {
		return keys, err
	}
	header := http.Header{"X-Aws-Ec2-Metadata-Token": {string(token)}}
	role, err := s.metadata(ctx, amazon, http.MethodGet, roles, header)
	if err != nil {
		return keys, err
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(role)), "\n")
	text, err := s.metadata(ctx, amazon, http.MethodGet, roles+url.PathEscape(name), header)
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	if err == nil && keys.Access == "" {
		err = errors.New("it gives no key")
	}
	return keys, err
}

// metadata asks the metadata server of the machine. Neither a proxy nor a redirect counts.
func (s *session) metadata(ctx context.Context, cloud, method, path string, header http.Header) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, cmp.Or(s.metadataServer, metadataServers[cloud])+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header = header
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its metadata server answers %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxMeta))
}
