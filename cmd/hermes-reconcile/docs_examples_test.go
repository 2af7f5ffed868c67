package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const examplesDir = "../../docs/examples"

// strictly decodes YAML into a value that names every field of it.
func strictly(t *testing.T, text []byte, to any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(to); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

func exampleFile(t *testing.T, name string) []byte {
	t.Helper()
	return []byte(readDoc(t, "docs/examples/"+name))
}

// tool runs a program of Debian, and skips the test if it is not installed.
func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// Every example is named by a page that says what it is for.
func TestExamplesAreDocumented(t *testing.T) {
	pages := readDoc(t, "docs/deploy.md") + readDoc(t, "docs/deploy-kubernetes.md") + readDoc(t, "docs/decision-log.md")
	err := filepath.WalkDir(examplesDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(examplesDir, path)
		if !strings.Contains(pages, "](examples/"+name+")") && !strings.HasPrefix(name, "hermes-reconcile/policy/") {
			t.Errorf("no page explains docs/examples/%s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The rule of the example holds what it says, with the configuration of the example.
func TestExampleOfRules(t *testing.T) {
	dir := t.TempDir()
	for _, profile := range []string{"coder", "scratch-1"} {
		home := filepath.Join(dir, "home/profiles", profile)
		if err := os.MkdirAll(home, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"SOUL.md": "", "gateway_state.json": `{"desired_state": "running"}`} {
			if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
	t.Setenv("HERMES_RECONCILE_S6__OWNERSHIP", "upstream")
	rules := examplesDir + "/hermes-reconcile/policy"
	output(t, "policy", "check", "--strict", "--home", dir+"/home", rules)
	decided := string(output(t, "eval", "--config", examplesDir+"/hermes-reconcile/config.yaml", "--policy", rules, "--home", dir+"/home", "--scandir", dir+"/scan"))
	for _, want := range []string{`coder +start +prior_intent`, `scratch-1 +down +scratch`} {
		if !regexp.MustCompile(want).MatchString(decided) {
			t.Errorf("the rules decide\n%s\nwant %s", decided, want)
		}
	}
}

// Docker Compose accepts the examples, and they keep what the page promises.
func TestExampleOfCompose(t *testing.T) {
	text := exampleFile(t, "compose.yaml")
	var file struct {
		Services map[string]struct {
			Init        *bool
			Hostname    string
			Command     []string
			Volumes     []any
			Healthcheck struct{ Test []string }
			Logging     struct{ Options map[string]string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	hermes := file.Services["hermes"]
	if hermes.Init == nil || *hermes.Init || hermes.Hostname == "" || !slices.Equal(hermes.Command, []string{"sleep", "infinity"}) {
		t.Errorf("init, hostname or command: %+v", hermes)
	}
	if !slices.Equal(hermes.Healthcheck.Test, []string{"CMD", "/usr/local/bin/hermes-reconcile", "status", "--check"}) || hermes.Logging.Options["max-size"] == "" {
		t.Errorf("health check or logging: %+v", hermes)
	}
	rules := map[string]any{
		"type": "bind", "source": "./hermes-reconcile", "target": "/etc/hermes-reconcile", "read_only": true,
		"bind": map[string]any{"create_host_path": false},
	}
	if got, want := fmt.Sprint(hermes.Volumes), fmt.Sprint([]any{"data:/opt/data", "state:/var/lib/hermes-reconcile", rules}); got != want {
		t.Errorf("volumes %s, want %s", got, want)
	}

	dir := t.TempDir()
	if strings.HasPrefix(tool(t, dir, "docker-compose", "version"), "docker-compose version 1.") { // it does not know this key
		text = bytes.Replace(text, []byte("        bind:\n          create_host_path: false\n"), nil, 1)
	}
	for name, text := range map[string][]byte{"compose.yaml": text, "compose.hardened.yaml": exampleFile(t, "compose.hardened.yaml")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, dir, "docker-compose", "-f", "compose.yaml", "config")
	both := tool(t, dir, "docker-compose", "-f", "compose.yaml", "-f", "compose.hardened.yaml", "config")
	for _, want := range []string{"read_only: true", "/run:exec", "no-new-privileges", "HERMES_GATEWAY_BOOTSTRAP_STATE: running", "S6_READ_ONLY_ROOT: '1'"} {
		if !strings.Contains(strings.ReplaceAll(both, `"`, "'"), want) {
			t.Errorf("both files together have no %q:\n%s", want, both)
		}
	}
}

// Prometheus accepts the alert rules, and they fire for what they say. Metrics and codes of the
// rules are explained.
func TestExampleOfAlerts(t *testing.T) {
	rules := string(exampleFile(t, "alerts.yaml")) + string(exampleFile(t, "alerts-fleet.yaml"))
	pages := readDoc(t, "docs/metrics.md") + readDoc(t, "docs/status.md") + readDoc(t, "docs/troubleshooting.md") + readDoc(t, "docs/decision-log.md")
	for _, metric := range regexp.MustCompile(`hermes_reconcile_[a-z_]+`).FindAllString(rules, -1) {
		if !strings.Contains(pages, "`"+metric+"`") {
			t.Errorf("the alerts name the metric %s, which no page explains", metric)
		}
	}
	for _, codes := range regexp.MustCompile(`code=~?"([a-z_|]+)"`).FindAllStringSubmatch(rules, -1) {
		for code := range strings.SplitSeq(codes[1], "|") {
			if !strings.Contains(pages, "`"+code+"`") {
				t.Errorf("the alerts name the code %s, which no page explains", code)
			}
		}
	}
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(string(exampleFile(t, "alerts_test.yaml")), alert[1]) {
			t.Errorf("docs/examples/alerts_test.yaml does not test %s", alert[1])
		}
	}
	tool(t, examplesDir, "promtool", "check", "rules", "alerts.yaml", "alerts-fleet.yaml")
	tool(t, examplesDir, "promtool", "test", "rules", "alerts_test.yaml")
}

// A manifest of Kubernetes, with the fields that the example has. They were compared with the
// types of Kubernetes when they came here.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   metadata
	Data       map[string]string
	Spec       yaml.Node
}

type metadata struct {
	Name, Namespace string
	Labels          map[string]string
}

type statefulSet struct {
	ServiceName string `yaml:"serviceName"`
	Replicas    int
	Selector    struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	Template struct {
		Metadata metadata
		Spec     pod
	}
	VolumeClaimTemplates []struct {
		Metadata metadata
		Spec     struct {
			AccessModes []string `yaml:"accessModes"`
			Resources   struct{ Requests map[string]string }
		}
	} `yaml:"volumeClaimTemplates"`
}

type pod struct {
	AutomountServiceAccountToken  *bool `yaml:"automountServiceAccountToken"`
	EnableServiceLinks            *bool `yaml:"enableServiceLinks"`
	ShareProcessNamespace         *bool `yaml:"shareProcessNamespace"`
	TerminationGracePeriodSeconds int   `yaml:"terminationGracePeriodSeconds"`
	Containers                    []struct {
		Name, Image string
		Args        []string
		Env         []struct{ Name, Value string }
		Ports       []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		ReadinessProbe struct {
			HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
			PeriodSeconds    int                         `yaml:"periodSeconds"`
			TimeoutSeconds   int                         `yaml:"timeoutSeconds"`
			FailureThreshold int                         `yaml:"failureThreshold"`
		} `yaml:"readinessProbe"` // no other probe: they restart the container
		Resources       struct{ Requests, Limits map[string]string }
		SecurityContext struct {
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			Capabilities             struct{ Drop, Add []string }
			SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name      string
		ConfigMap struct {
			Name  string
			Items []struct{ Key, Path string }
		} `yaml:"configMap"`
		EmptyDir struct {
			Medium    string
			SizeLimit string `yaml:"sizeLimit"`
		} `yaml:"emptyDir"`
	}
}

// The manifests have no unknown field, fit together, and keep what the page promises.
func TestExampleOfKubernetes(t *testing.T) {
	all := map[string]manifest{}
	decoder := yaml.NewDecoder(bytes.NewReader(exampleFile(t, "kubernetes.yaml")))
	decoder.KnownFields(true)
	for {
		var m manifest
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if all[m.Kind] = m; m.Kind != "Namespace" && m.Metadata.Namespace != all["Namespace"].Metadata.Name {
			t.Errorf("%s is in the namespace %q", m.Kind, m.Metadata.Namespace)
		}
	}
	if kinds := slices.Sorted(maps.Keys(all)); !slices.Equal(kinds, []string{"ConfigMap", "Namespace", "NetworkPolicy", "Service", "StatefulSet"}) {
		t.Fatalf("have %v", kinds)
	}
	part := func(kind string, to any) {
		spec := all[kind].Spec
		text, err := yaml.Marshal(&spec)
		if err != nil {
			t.Fatal(err)
		}
		strictly(t, text, to)
	}

	var set statefulSet
	part("StatefulSet", &set)
	labels := set.Selector.MatchLabels
	if set.Replicas != 1 || set.ServiceName != all["Service"].Metadata.Name || !maps.Equal(labels, set.Template.Metadata.Labels) {
		t.Errorf("%+v", set)
	}
	mounted := map[string]string{}
	for _, claim := range set.VolumeClaimTemplates {
		mounted[claim.Metadata.Name] = "claim"
		if !slices.Equal(claim.Spec.AccessModes, []string{"ReadWriteOncePod"}) {
			t.Errorf("the claim %s has %v", claim.Metadata.Name, claim.Spec.AccessModes)
		}
	}
	pod := set.Template.Spec
	for name, value := range map[string]*bool{"automountServiceAccountToken": pod.AutomountServiceAccountToken, "enableServiceLinks": pod.EnableServiceLinks, "shareProcessNamespace": pod.ShareProcessNamespace} {
		if value == nil || *value {
			t.Errorf("%s is not false", name)
		}
	}
	if len(pod.Containers) != 1 {
		t.Fatalf("%d containers", len(pod.Containers))
	}
	hermes := pod.Containers[0]
	probe := hermes.ReadinessProbe
	if probe.HTTPGet.Path != "/healthz" || probe.HTTPGet.Port != hermes.Ports[0].Name || !slices.Equal(hermes.Args, []string{"sleep", "infinity"}) {
		t.Errorf("probe %+v, arguments %q", probe, hermes.Args)
	}
	if s := hermes.SecurityContext; !s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("%+v", s)
	}

	var service struct {
		ClusterIP                string `yaml:"clusterIP"`
		PublishNotReadyAddresses bool   `yaml:"publishNotReadyAddresses"`
		Selector                 map[string]string
		Ports                    []struct {
			Name       string
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
	}
	part("Service", &service)
	var network struct {
		PodSelector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"podSelector"`
		PolicyTypes []string `yaml:"policyTypes"`
		Ingress     []struct {
			From []struct {
				NamespaceSelector struct {
					MatchLabels map[string]string `yaml:"matchLabels"`
				} `yaml:"namespaceSelector"`
			}
			Ports []struct{ Port string }
		}
	}
	part("NetworkPolicy", &network)
	if !service.PublishNotReadyAddresses || service.Ports[0].TargetPort != hermes.Ports[0].Name || network.Ingress[0].Ports[0].Port != hermes.Ports[0].Name {
		t.Errorf("%+v, %+v", service, network)
	}
	if !maps.Equal(service.Selector, labels) || !maps.Equal(network.PodSelector.MatchLabels, labels) {
		t.Errorf("the Service selects %v, the NetworkPolicy %v, want %v", service.Selector, network.PodSelector.MatchLabels, labels)
	}

	// The ConfigMap is the example directory, but for the address of the metrics.
	data := all["ConfigMap"].Data
	for _, volume := range pod.Volumes {
		mounted[volume.Name] = "volume"
		for _, item := range volume.ConfigMap.Items {
			want := string(exampleFile(t, "hermes-reconcile/"+item.Path))
			if item.Path == "config.yaml" {
				want = fmt.Sprintf("watch:\n  listen: 0.0.0.0:%d\n", hermes.Ports[0].ContainerPort)
			}
			if data[item.Key] != want {
				t.Errorf("the key %s of the ConfigMap is\n%s\nwant\n%s", item.Key, data[item.Key], want)
			}
			delete(data, item.Key)
		}
	}
	if len(data) != 0 {
		t.Errorf("not mounted: %v", slices.Sorted(maps.Keys(data)))
	}
	paths := map[string]string{}
	for _, mount := range hermes.VolumeMounts {
		paths[mount.MountPath] = mounted[mount.Name]
		if mount.MountPath == "/etc/hermes-reconcile" && !mount.ReadOnly {
			t.Error("the rules are not mounted read-only")
		}
	}
	if want := map[string]string{"/opt/data": "claim", "/var/lib/hermes-reconcile": "claim", "/etc/hermes-reconcile": "volume", "/run": "volume", "/tmp": "volume"}; !maps.Equal(paths, want) {
		t.Errorf("mounts %v, want %v", paths, want)
	}
}

// The add-on has no unknown field, and keeps home and state apart below what is kept.
func TestExampleOfHomeAssistant(t *testing.T) {
	var addOn struct {
		Name, Version, Slug, Description, Image, Startup, Boot string
		Arch                                                   []string
		Init                                                   *bool
		Timeout                                                int
		Environment                                            map[string]string
		Map                                                    []struct {
			Type, Path string
			ReadOnly   bool `yaml:"read_only"`
		}
	}
	strictly(t, exampleFile(t, "home-assistant.yaml"), &addOn)
	if addOn.Init == nil || *addOn.Init || len(addOn.Map) != 1 || addOn.Map[0].Path != "/etc/hermes-reconcile" || !addOn.Map[0].ReadOnly {
		t.Errorf("%+v", addOn)
	}
	home, state := addOn.Environment["HERMES_HOME"], addOn.Environment["HERMES_RECONCILE_STATE_DIR"]
	if filepath.Dir(home) != "/data" || filepath.Dir(state) != "/data" || home == state {
		t.Errorf("home %s, state directory %s", home, state)
	}
}
